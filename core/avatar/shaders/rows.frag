// Blends the basis: the residuals of one row, as blend_blocks of core/avatar/kernels.py. Column: row within its block; row: block.

uniform isampler2DArray xyz_planes;  // column: row within the block; row: channel of a stored block; four planes a texel
uniform isampler2DArray rotation_planes;
uniform isampler2DArray scale_planes;
uniform isampler2DArray opacity_planes;
uniform isampler2D slots;   // column: block; number of the stored block of each attribute, -1 where nothing moves
uniform sampler2D weights;  // column: texel of planes, attribute by attribute; row: block; coefficient · step
uniform vec4 counts;        // texels of planes of each attribute

layout(location = 0) out vec4 xyz_opacity;
layout(location = 1) out vec4 rotation;
layout(location = 2) out vec4 scale;

vec4 blend(isampler2DArray planes, int slot, int channels, int first, int count) {
    vec4 sum = vec4(0.0);
    if (slot < 0) return sum;
    ivec2 here = ivec2(gl_FragCoord.xy);
    for (int layer = 0; layer < count; ++layer) {
        vec4 weight = texelFetch(weights, ivec2(first + layer, here.y), 0);
        if (weight == vec4(0.0)) continue;
        ivec3 place = ivec3(here.x, slot * channels, layer);
        sum.x += dot(weight, vec4(texelFetch(planes, place, 0)));
        if (channels > 1) {
            sum.y += dot(weight, vec4(texelFetch(planes, place + ivec3(0, 1, 0), 0)));
            sum.z += dot(weight, vec4(texelFetch(planes, place + ivec3(0, 2, 0), 0)));
        }
        if (channels > 3) sum.w += dot(weight, vec4(texelFetch(planes, place + ivec3(0, 3, 0), 0)));
    }
    return sum;
}

void main() {
    ivec4 slot = texelFetch(slots, ivec2(int(gl_FragCoord.y), 0), 0);
    ivec4 count = ivec4(counts);
    xyz_opacity.xyz = blend(xyz_planes, slot.x, 3, 0, count.x).xyz;
    rotation = blend(rotation_planes, slot.y, ROTATION_CHANNELS, count.x, count.y);
    scale = blend(scale_planes, slot.z, 3, count.x + count.y, count.z);
    xyz_opacity.w = blend(opacity_planes, slot.w, 1, count.x + count.y + count.z, count.w).x;
}
