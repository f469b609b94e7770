// One of six corners of a Gaussian's two triangles, around the ellipse of project.frag. The picture's first row is the target's row 0.

uniform sampler2D center_major;
uniform sampler2D minor_opacity;
uniform sampler2DArray attributes;  // of which the last layer has the colours
uniform usampler2D order;           // numbers of the Gaussians, nearest first
uniform vec2 picture_size;

out vec2 position;              // in standard deviations along the ellipse's axes
flat out vec4 color;            // rgb, compensated opacity

void main() {
    gl_Position = vec4(0.0, 0.0, 2.0, 1.0);  // outside: nothing is drawn
    position = vec2(0.0);
    color = vec4(0.0);

    int number = gl_VertexID / 6, turn = gl_VertexID % 6;
    int which = turn < 3 ? turn : turn == 5 ? 3 : 5 - turn;  // 0 1 2, 2 1 3
    int splat = int(texelFetch(order, ivec2(number & 1023, number >> 10), 0).r);
    ivec2 place = ivec2(splat & 1023, splat >> 10);
    vec4 second = texelFetch(minor_opacity, place, 0);
    if (second.w <= 0.0) return;
    vec4 first = texelFetch(center_major, place, 0);
    vec2 corner = vec2(float(which & 1), float(which >> 1)) * 2.0 - 1.0;
    position = corner * second.w;  // where alpha falls to alpha_min
    color = vec4(texelFetch(attributes, ivec3(place, 3), 0).rgb, second.z);
    vec2 pixel = first.xy + position.x * first.zw + position.y * second.xy;
    gl_Position = vec4(2.0 * pixel / picture_size - 1.0, 0.0, 1.0);
}
