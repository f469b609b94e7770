// Rule 3 of core/render/reference.py; the blend function (1 - target alpha, 1) does the rest.

uniform float alpha_min;

in vec2 position;
flat in vec4 color;
out vec4 premultiplied;

void main() {
    float alpha = min(0.999, color.a * exp(-0.5 * dot(position, position)));
    if (alpha < alpha_min) discard;
    premultiplied = vec4(color.rgb * alpha, alpha);
}
