// One Gaussian as an ellipse in the picture. Rules 1 and 2 of core/render/reference.py. 1024 Gaussians a row.

uniform sampler2DArray attributes;  // layers: xyz opacity, scale -, quaternion wxyz, rgb -
uniform mat4 world_to_camera;
uniform vec4 intrinsics;            // fx fy cx cy
uniform vec2 picture_size;
uniform float alpha_min;            // contributions below it are skipped

layout(location = 0) out vec4 center_major;  // pixels; the vector of one standard deviation along the longer axis
layout(location = 1) out vec4 minor_opacity; // the same along the shorter axis; compensated opacity; how many standard deviations
                                             // it reaches, 0 where nothing is to be drawn

const float LOW_PASS_VARIANCE = 0.3;
const float NEAR_PLANE = 0.01;
const float FRUSTUM_MARGIN = 0.15;

mat3 rotation(vec4 quat) {
    vec4 q = quat / length(quat);
    float w = q.x, x = q.y, y = q.z, z = q.w;
    return mat3(1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y),
                2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x),
                2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y));
}

void main() {
    center_major = vec4(0.0);
    minor_opacity = vec4(0.0);
    ivec2 place = ivec2(gl_FragCoord.xy);
    vec4 xyz_opacity = texelFetch(attributes, ivec3(place, 0), 0);
    vec3 scale = texelFetch(attributes, ivec3(place, 1), 0).xyz;
    vec4 quat = texelFetch(attributes, ivec3(place, 2), 0);

    vec3 center = (world_to_camera * vec4(xyz_opacity.xyz, 1.0)).xyz;
    if (center.z < NEAR_PLANE) return;
    vec2 focal = intrinsics.xy, principal = intrinsics.zw;
    vec2 tangent = center.xy / center.z;
    vec2 margin = FRUSTUM_MARGIN * picture_size / focal;
    vec2 clamped = clamp(tangent, -principal / focal - margin, (picture_size - principal) / focal + margin);

    mat3 axes = mat3(world_to_camera) * rotation(quat);
    axes = mat3(axes[0] * scale.x, axes[1] * scale.y, axes[2] * scale.z);
    vec3 row_x = vec3(focal.x, 0.0, -focal.x * clamped.x) / center.z * axes;
    vec3 row_y = vec3(0.0, focal.y, -focal.y * clamped.y) / center.z * axes;
    vec3 minors = cross(row_x, row_y);
    float determinant = dot(minors, minors);
    float xx = dot(row_x, row_x), xy = dot(row_x, row_y), yy = dot(row_y, row_y);
    float widened = determinant + LOW_PASS_VARIANCE * (xx + yy + LOW_PASS_VARIANCE);
    float opacity = xyz_opacity.w * sqrt(determinant / widened);
    if (!(opacity >= alpha_min)) return;
    xx += LOW_PASS_VARIANCE;
    yy += LOW_PASS_VARIANCE;

    float mean = 0.5 * (xx + yy), deviation = length(vec2(0.5 * (xx - yy), xy));
    float major = mean + deviation, minor = max(mean - deviation, LOW_PASS_VARIANCE);
    vec2 axis = xx >= yy ? vec2(deviation + 0.5 * (xx - yy), xy) : vec2(xy, deviation + 0.5 * (yy - xx));
    axis = deviation > 1e-6 * mean ? normalize(axis) : vec2(1.0, 0.0);

    center_major = vec4(focal * tangent + principal, sqrt(major) * axis);
    minor_opacity = vec4(sqrt(minor) * vec2(-axis.y, axis.x), opacity, sqrt(2.0 * log(opacity / alpha_min)));
}
