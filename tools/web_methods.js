// Two published ways of drawing Gaussian heads in a browser, written anew from their descriptions, for comparison.
//
// "static": one cloud, as in antimatter15/splat: covariances as half floats in an integer texture, a quad of 2.83 standard
// deviations, blended front to back in the canvas' bytes.
// "planes": AGORA-M's own viewer: every frame a pass sums up K planes of half floats (3 texels each) for every Gaussian and packs
// position and covariance; then as above, with an antialiasing term. The order is that of the face at rest.

const COVER = `#version 300 es
void main() { gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0.0, 1.0); }`;

const PACK = `
mat3 axes_of(vec4 q, vec3 s) {
  q = normalize(q);
  float w = q.x, x = q.y, y = q.z, z = q.w;
  return mat3(s.x * vec3(1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y)),
              s.y * vec3(2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x)),
              s.z * vec3(2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y)));
}
void pack(vec3 xyz, vec4 q, vec3 s, vec4 color, out uvec4 first, out uvec4 second) {
  mat3 m = axes_of(q, s * 8.0), sigma = 4.0 * m * transpose(m);  // at metric scale half floats would vanish
  uvec4 bytes = uvec4(round(clamp(color, 0.0, 1.0) * 255.0));
  first = uvec4(floatBitsToUint(xyz * 8.0), 0u);
  second = uvec4(packHalf2x16(vec2(sigma[0][0], sigma[0][1])), packHalf2x16(vec2(sigma[0][2], sigma[1][1])),
                 packHalf2x16(vec2(sigma[1][2], sigma[2][2])), bytes.r | bytes.g << 8 | bytes.b << 16 | bytes.a << 24);
}`;

const BLEND = `#version 300 es
precision highp float; precision highp int; precision highp sampler2DArray;
uniform sampler2DArray base;    // xyz opacity, scale, quaternion, rgb
uniform sampler2DArray planes;  // three layers a component
uniform vec4 weights[64];       // of position, scale, rotation and opacity
uniform int count;
layout(location = 0) out uvec4 first;
layout(location = 1) out uvec4 second;
${PACK}
void main() {
  ivec2 here = ivec2(gl_FragCoord.xy);
  vec4 xyz_opacity = texelFetch(base, ivec3(here, 0), 0);
  vec3 s = texelFetch(base, ivec3(here, 1), 0).xyz;
  vec4 q = texelFetch(base, ivec3(here, 2), 0);
  for (int k = 0; k < count; ++k) {
    vec4 a = texelFetch(planes, ivec3(here, 3 * k), 0), b = texelFetch(planes, ivec3(here, 3 * k + 1), 0);
    vec4 c = texelFetch(planes, ivec3(here, 3 * k + 2), 0), w = weights[k];
    xyz_opacity += vec4(w.xxx * a.xyz, w.w * c.z);
    s += w.y * vec3(a.w, b.xy);
    q += w.z * vec4(b.zw, c.xy);
  }
  pack(xyz_opacity.xyz, q, max(s, 1e-5), vec4(texelFetch(base, ivec3(here, 3), 0).rgb, xyz_opacity.w), first, second);
}`;

const VERTEX = (antialiased) => `#version 300 es
precision highp float; precision highp int; precision highp usampler2D;
uniform usampler2D firsts, seconds;
uniform mat4 view;
uniform vec2 focal, viewport;
in int index;
out vec4 color;
out vec2 position;
void main() {
  ivec2 place = ivec2(index & 1023, index >> 10);
  vec3 cam = (view * vec4(uintBitsToFloat(texelFetch(firsts, place, 0).xyz), 1.0)).xyz;
  vec2 center = 2.0 * focal * cam.xy / (cam.z * viewport);
  gl_Position = vec4(0.0, 0.0, 2.0, 1.0);
  if (cam.z < 0.1 || any(greaterThan(abs(center), vec2(1.2)))) return;
  uvec4 packed_ = texelFetch(seconds, place, 0);
  vec2 u1 = unpackHalf2x16(packed_.x), u2 = unpackHalf2x16(packed_.y), u3 = unpackHalf2x16(packed_.z);
  mat3 sigma = mat3(u1.x, u1.y, u2.x, u1.y, u2.y, u3.x, u2.x, u3.x, u3.y);
  mat3 jacobian = mat3(focal.x / cam.z, 0.0, 0.0, 0.0, focal.y / cam.z, 0.0,
                       -focal.x * cam.x / (cam.z * cam.z), -focal.y * cam.y / (cam.z * cam.z), 0.0);
  mat3 t = jacobian * mat3(view);
  mat3 flat_ = t * sigma * transpose(t);
  float xx = flat_[0][0], xy = flat_[0][1], yy = flat_[1][1], alpha = 1.0;
  ${antialiased ? `float before = max(xx * yy - xy * xy, 0.0);
  xx += 1.2;
  yy += 1.2;
  alpha = sqrt(before / (xx * yy - xy * xy));` : ""}
  float middle = 0.5 * (xx + yy), radius = length(vec2(0.5 * (xx - yy), xy));
  float large = middle + radius, small = middle - radius;
  if (small < 0.0) return;
  vec2 axis = radius > 1e-6 * middle ? normalize(vec2(xy, large - xx) + vec2(1e-12, 0.0)) : vec2(1.0, 0.0);
  vec2 major = min(sqrt(2.0 * large), 1024.0) * axis, minor = min(sqrt(2.0 * small), 1024.0) * vec2(axis.y, -axis.x);
  color = vec4(uvec4(packed_.w, packed_.w >> 8, packed_.w >> 16, packed_.w >> 24) & 255u) / 255.0;
  color.a *= alpha;
  position = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 2.0;
  vec2 ndc = center + (position.x * major + position.y * minor) / viewport;
  gl_Position = vec4(ndc.x, -ndc.y, 0.0, 1.0);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec4 color;
in vec2 position;
out vec4 premultiplied;
void main() {
  float squared = dot(position, position);
  if (squared > 4.0) discard;
  float alpha = exp(-squared) * color.a;
  premultiplied = vec4(color.rgb * alpha, alpha);
}`;

const PACK_STATIC = `#version 300 es
precision highp float; precision highp int; precision highp sampler2DArray;
uniform sampler2DArray base;
layout(location = 0) out uvec4 first;
layout(location = 1) out uvec4 second;
${PACK}
void main() {
  ivec2 here = ivec2(gl_FragCoord.xy);
  vec4 xyz_opacity = texelFetch(base, ivec3(here, 0), 0);
  pack(xyz_opacity.xyz, texelFetch(base, ivec3(here, 2), 0), texelFetch(base, ivec3(here, 1), 0).xyz,
       vec4(texelFetch(base, ivec3(here, 3), 0).rgb, xyz_opacity.w), first, second);
}`;

function link(gl, vertex, fragment) {
  const program = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(program, shader);
  }
  gl.bindAttribLocation(program, 0, "index");
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
  return { program, place: (name) => gl.getUniformLocation(program, name) };
}

function texture(gl, target, unit) {
  gl.activeTexture(gl.TEXTURE0 + unit);
  const name = gl.createTexture();
  gl.bindTexture(target, name);
  gl.texParameteri(target, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
  gl.texParameteri(target, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  return name;
}

// cloud: {base: Float32Array [4, rows, 1024, 4], order: Int32Array, rows, planes?: Uint16Array of half floats, components?}
// camera: {view: 16 numbers by column in the scaled scene, focal, size}
// Returns draw(weights) -> nothing, and bytes() -> RGBA, first row on top; call it right after draw.
export function makeMethod(canvas, cloud, camera) {
  const gl = canvas.getContext("webgl2", { alpha: true, premultipliedAlpha: true, antialias: false, depth: false });
  const { rows, order, planes } = cloud, moving = Boolean(planes), size = camera.size;
  texture(gl, gl.TEXTURE_2D_ARRAY, 0);
  gl.texImage3D(gl.TEXTURE_2D_ARRAY, 0, gl.RGBA32F, 1024, rows, 4, 0, gl.RGBA, gl.FLOAT, cloud.base);
  if (moving) {
    texture(gl, gl.TEXTURE_2D_ARRAY, 1);
    gl.texImage3D(gl.TEXTURE_2D_ARRAY, 0, gl.RGBA16F, 1024, rows, 3 * cloud.components, 0, gl.RGBA, gl.HALF_FLOAT, planes);
  }
  const target = gl.createFramebuffer();
  gl.bindFramebuffer(gl.FRAMEBUFFER, target);
  [2, 3].forEach((unit, i) => {
    const name = texture(gl, gl.TEXTURE_2D, unit);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32UI, 1024, rows, 0, gl.RGBA_INTEGER, gl.UNSIGNED_INT, null);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0 + i, gl.TEXTURE_2D, name, 0);
  });
  gl.drawBuffers([gl.COLOR_ATTACHMENT0, gl.COLOR_ATTACHMENT1]);
  const blend = link(gl, COVER, moving ? BLEND : PACK_STATIC), splat = link(gl, VERTEX(moving), FRAGMENT);
  const plain = gl.createVertexArray(), quads = gl.createVertexArray();
  gl.bindVertexArray(quads);
  gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ARRAY_BUFFER, order, gl.STATIC_DRAW);
  gl.enableVertexAttribArray(0);
  gl.vertexAttribIPointer(0, 1, gl.INT, 0, 0);
  gl.vertexAttribDivisor(0, 1);

  const pack = (weights) => {
    gl.bindFramebuffer(gl.FRAMEBUFFER, target);
    gl.viewport(0, 0, 1024, rows);
    gl.disable(gl.BLEND);
    gl.useProgram(blend.program);
    gl.uniform1i(blend.place("base"), 0);
    if (moving) {
      gl.uniform1i(blend.place("planes"), 1);
      gl.uniform4fv(blend.place("weights"), weights);
      gl.uniform1i(blend.place("count"), cloud.components);
    }
    gl.bindVertexArray(plain);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  };
  const draw = (weights) => {
    if (moving) pack(weights);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, size, size);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE_MINUS_DST_ALPHA, gl.ONE);
    gl.useProgram(splat.program);
    gl.uniform1i(splat.place("firsts"), 2);
    gl.uniform1i(splat.place("seconds"), 3);
    gl.uniformMatrix4fv(splat.place("view"), false, camera.view);
    gl.uniform2f(splat.place("focal"), camera.focal, camera.focal);
    gl.uniform2f(splat.place("viewport"), size, size);
    gl.bindVertexArray(quads);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, order.length);
  };
  const bytes = () => {
    const upward = new Uint8Array(size * size * 4), downward = new Uint8Array(upward.length);
    gl.readPixels(0, 0, size, size, gl.RGBA, gl.UNSIGNED_BYTE, upward);
    for (let y = 0; y < size; y++) downward.set(upward.subarray((size - 1 - y) * size * 4, (size - y) * size * 4), y * size * 4);
    return downward;
  };
  if (!moving) pack();
  return { draw, bytes };
}
