#version 330 core
// Lets the background through where the Gaussians leave transmittance.

uniform sampler2D accumulation;
uniform vec3 background;
out vec4 rgba;

void main() {
    vec4 front = texelFetch(accumulation, ivec2(gl_FragCoord.xy), 0);
    rgba = vec4(front.rgb + (1.0 - front.a) * background, front.a);
}
