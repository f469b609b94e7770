// Moves one Gaussian with its row and turns it at the neck: move_with_rows or, where ADDITIVE, add_to_rows, and then
// turn_at_neck of core/avatar/kernels.py, where the rules are explained. 1024 Gaussians a row.

uniform sampler2D row_xyz_opacity;  // residuals: column: row of the basis within its block of 1024; row: block
uniform sampler2D row_rotation;
uniform sampler2D row_scale;
uniform isampler2D rows;            // which row moves the Gaussian, -1 for none
uniform sampler2DArray resting;     // xyz opacity, scale opacity-gain, quaternion, offset neck-weight, tangent axis (u, v),
                                    // and with SOFT_FACING normal closed

uniform bool has_scale;
uniform bool has_opacity;
uniform mat3 head_rotation;
uniform vec4 head_turn;   // cosine and sine of the angle, and of half of it
uniform vec3 turn_axis;
uniform vec3 neck_joint;
uniform vec3 head_shift;
uniform vec3 body_shift;
#ifdef SOFT_FACING
uniform vec3 eye;         // the camera
#endif
uniform vec4 view_depth;  // third row of the world-to-camera matrix

layout(location = 0) out vec4 xyz_opacity;
layout(location = 1) out vec4 scale;
layout(location = 2) out vec4 quat;
layout(location = 3) out float depth;

const float MIN_SCALE = 1e-5;
const float OPACITY_LOW = -0.001 + 1e-6;
const float OPACITY_HIGH = 1.001 - 1e-6;
const float ROUNDNESS = 0.015;

// a * b of quaternions wxyz
vec4 times(vec4 a, vec4 b) {
    return vec4(a.x * b.x - dot(a.yzw, b.yzw), a.x * b.yzw + b.x * a.yzw + cross(a.yzw, b.yzw));
}

// New scales of a flat patch, and half the angle by which its axes turn (cosine and sine): _stretch_patch
vec4 stretch_patch(vec2 size, vec2 axis, vec3 strain) {
    float au = axis.x, av = axis.y;
    float pu = (1.0 + strain.x) * au + strain.y * av, pv = strain.y * au + (1.0 + strain.z) * av;
    float qu = strain.y * au - (1.0 + strain.x) * av, qv = (1.0 + strain.z) * au - strain.y * av;
    float m00 = size.x * (pu * au + pv * av), m01 = size.x * (pv * au - pu * av);
    float m10 = size.y * (qu * au + qv * av), m11 = size.y * (qv * au - qu * av);
    float along = m00 * m00 + m10 * m10, across = m01 * m01 + m11 * m11, mixed = m00 * m01 + m10 * m11;
    float real = abs(along - across) + ROUNDNESS * (along + across);
    float imaginary = 2.0 * mixed * (along >= across ? 1.0 : -1.0);
    float len = sqrt(real * real + imaginary * imaginary) + 1e-20;
    float c = sqrt(0.5 * (1.0 + real / len));
    float s = 0.5 * imaginary / (len * c);
    float first = c * c * along, crossed = 2.0 * c * s * mixed, second = s * s * across;
    float cosine = sqrt(0.5 * (1.0 + c));
    return vec4(sqrt(max(first + crossed + second, 1e-16)), sqrt(max(s * s * along - crossed + c * c * across, 1e-16)),
                cosine, 0.5 * s / cosine);
}

void move_with_row(ivec2 row, float opacity_gain, vec3 offset) {
    ivec2 here = ivec2(gl_FragCoord.xy);
    vec4 residual = texelFetch(row_xyz_opacity, row, 0);
    vec3 shift = residual.xyz, arm = offset;
    vec4 u = texelFetch(resting, ivec3(here, 4), 0), v = texelFetch(resting, ivec3(here, 5), 0);
    if (has_scale && (u.w != 0.0 || v.w != 0.0)) {
        vec3 strain = texelFetch(row_scale, row, 0).xyz;
        float along_u = dot(offset, u.xyz), along_v = dot(offset, v.xyz);
        vec3 stretched = (strain.x * along_u + strain.y * along_v) * u.xyz + (strain.y * along_u + strain.z * along_v) * v.xyz;
        arm += stretched;
        shift += stretched;
        vec4 patch_ = stretch_patch(scale.xy, vec2(u.w, v.w), strain);
        scale.xy = patch_.xy;
        quat = times(quat, vec4(patch_.z, 0.0, 0.0, patch_.w));
    }
    vec3 p = texelFetch(row_rotation, row, 0).xyz;
    float squared = dot(p, p);
    vec4 turn = vec4(1.0 - squared, 2.0 * p) / (1.0 + squared);
    vec3 twice = 2.0 * cross(turn.yzw, arm);
    xyz_opacity.xyz += shift + turn.x * twice + cross(turn.yzw, twice);
    quat = times(turn, quat);
    if (has_opacity) xyz_opacity.w = clamp(xyz_opacity.w + opacity_gain * residual.w, 0.0, 1.0);
}

void add_to_row(ivec2 row, bool moves) {
    if (moves) {
        xyz_opacity += texelFetch(row_xyz_opacity, row, 0);
        scale.xyz += texelFetch(row_scale, row, 0).xyz;
        quat += texelFetch(row_rotation, row, 0);
    }
    scale.xyz = max(scale.xyz, vec3(MIN_SCALE));
    quat /= sqrt(max(dot(quat, quat), 1e-24));
    xyz_opacity.w = clamp(xyz_opacity.w, OPACITY_LOW, OPACITY_HIGH);
}

void turn_at_neck(float weight) {
    vec3 arm = xyz_opacity.xyz - neck_joint;
    xyz_opacity.xyz += weight * (head_rotation * arm - arm + head_shift) + (1.0 - weight) * body_shift;
    if (weight == 0.0) return;
    vec2 half_turn = head_turn.zw;
    if (weight < 1.0) {
        vec2 blended = vec2(1.0 - weight + weight * head_turn.x, weight * head_turn.y);
        half_turn = normalize(vec2(length(blended) + blended.x, blended.y));
    }
    quat = times(vec4(half_turn.x, half_turn.y * turn_axis), quat);
}

#ifdef SOFT_FACING
void fade_averted() {
    vec4 seat = texelFetch(resting, ivec3(ivec2(gl_FragCoord.xy), 6), 0);
    vec3 normal = seat.xyz + 2.0 * cross(quat.yzw, cross(quat.yzw, seat.xyz) + quat.x * seat.xyz);
    float away = dot(normalize(xyz_opacity.xyz - eye), normal);
    xyz_opacity.w *= 1.0 - seat.w * (1.0 - 1.0 / (1.0 + exp((away - FACING) / FACING_SOFTNESS)));
}
#endif

void main() {
    ivec2 here = ivec2(gl_FragCoord.xy);
    xyz_opacity = texelFetch(resting, ivec3(here, 0), 0);
    vec4 scale_gain = texelFetch(resting, ivec3(here, 1), 0);
    quat = texelFetch(resting, ivec3(here, 2), 0);
    vec4 offset_weight = texelFetch(resting, ivec3(here, 3), 0);
    scale = vec4(scale_gain.xyz, 0.0);
    int number = texelFetch(rows, here, 0).r;
    ivec2 row = ivec2(number & 1023, number >> 10);
#ifdef ADDITIVE
    add_to_row(row, number >= 0);
#else
    if (number >= 0) move_with_row(row, scale_gain.w, offset_weight.xyz);
#endif
    turn_at_neck(offset_weight.w);
#ifdef SOFT_FACING
    fade_averted();
#endif
    depth = dot(view_depth, vec4(xyz_opacity.xyz, 1.0));
}
