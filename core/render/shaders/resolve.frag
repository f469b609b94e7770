// Lets the background through where the Gaussians leave transmittance.

uniform sampler2D accumulation;
uniform vec3 background;
out vec4 rgba;

void main() {
    ivec2 place = ivec2(gl_FragCoord.xy);
#ifdef UPSIDE_DOWN  // for a surface whose first row is its lowest
    place.y = textureSize(accumulation, 0).y - 1 - place.y;
#endif
    vec4 front = texelFetch(accumulation, place, 0);
    rgba = vec4(front.rgb + (1.0 - front.a) * background, front.a);
}
