// WebGL2 and the few objects that the passes are made of, as core/render/gl.py on the desktop.

export const WIDTH = 1024; // Gaussians in a row of a texture

export class Unsupported extends Error {}

export function openContext(canvas) {
  const gl = canvas.getContext("webgl2", { alpha: true, premultipliedAlpha: true, antialias: false, depth: false, stencil: false,
    powerPreference: "high-performance" });
  if (!gl) throw new Unsupported("This browser offers no WebGL2. Update it, or switch on its hardware acceleration.");
  return gl;
}

// What a context needs anew each time it has been lost.
export function prepareContext(gl) {
  if (!gl.getExtension("EXT_color_buffer_float"))
    throw new Unsupported("This device cannot draw into float textures (EXT_color_buffer_float), which the blend needs.");
  gl.getExtension("EXT_float_blend");
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  gl.pixelStorei(gl.PACK_ALIGNMENT, 1);
}

const FORMATS = {
  rgba32f: (gl) => [gl.RGBA32F, gl.RGBA, gl.FLOAT],
  rgba16f: (gl) => [gl.RGBA16F, gl.RGBA, gl.HALF_FLOAT],
  rgba8: (gl) => [gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE],
  rgba8i: (gl) => [gl.RGBA8I, gl.RGBA_INTEGER, gl.BYTE],
  rgba32i: (gl) => [gl.RGBA32I, gl.RGBA_INTEGER, gl.INT],
  rgba32ui: (gl) => [gl.RGBA32UI, gl.RGBA_INTEGER, gl.UNSIGNED_INT],
  r32f: (gl) => [gl.R32F, gl.RED, gl.FLOAT],
  r32i: (gl) => [gl.R32I, gl.RED_INTEGER, gl.INT],
  r32ui: (gl) => [gl.R32UI, gl.RED_INTEGER, gl.UNSIGNED_INT],
};

// Texels that shaders fetch one by one, in a plane (layers = 0) or in layers.
export class Texture {
  constructor(gl, format, width, height, layers = 0, data = null) {
    this.gl = gl;
    [this.internal, this.layout, this.kind] = FORMATS[format](gl);
    this.target = layers ? gl.TEXTURE_2D_ARRAY : gl.TEXTURE_2D;
    this.name = gl.createTexture();
    this.define(width, height, layers, data);
    gl.texParameteri(this.target, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(this.target, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.texParameteri(this.target, gl.TEXTURE_MAX_LEVEL, 0);
  }

  define(width, height, layers, data) {
    const { gl, target } = this;
    [this.width, this.height, this.layers] = [width, height, layers];
    this.bind(0);
    if (layers) gl.texImage3D(target, 0, this.internal, width, height, layers, 0, this.layout, this.kind, data);
    else gl.texImage2D(target, 0, this.internal, width, height, 0, this.layout, this.kind, data);
  }

  resize(width, height) {
    if (width !== this.width || height !== this.height) this.define(width, height, this.layers, null);
  }

  bind(unit) {
    this.gl.activeTexture(this.gl.TEXTURE0 + unit);
    this.gl.bindTexture(this.target, this.name);
  }

  send(data) {
    this.bind(0);
    this.gl.texSubImage2D(this.target, 0, 0, 0, this.width, this.height, this.layout, this.kind, data);
  }

  delete() {
    this.gl.deleteTexture(this.name);
  }
}

// Textures that a pass draws into: [texture, layer], layer null for a plane.
export class Target {
  constructor(gl, ...outputs) {
    this.gl = gl;
    this.size = outputs[0][0];
    this.name = gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.name);
    const places = outputs.map((_, i) => gl.COLOR_ATTACHMENT0 + i);
    outputs.forEach(([texture, layer], i) => {
      if (layer === null) gl.framebufferTexture2D(gl.FRAMEBUFFER, places[i], texture.target, texture.name, 0);
      else gl.framebufferTextureLayer(gl.FRAMEBUFFER, places[i], texture.name, 0, layer);
    });
    gl.drawBuffers(places);
    if (!gl.isContextLost() && gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE)
      throw new Unsupported("This device cannot draw into the textures that the blend needs.");
  }

  bind() {
    this.gl.bindFramebuffer(this.gl.FRAMEBUFFER, this.name);
    this.gl.viewport(0, 0, this.size.width, this.size.height);
  }

  delete() {
    this.gl.deleteFramebuffer(this.name);
  }
}

export class Program {
  constructor(gl, vertex, fragment) {
    this.gl = gl;
    this.name = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(this.name, shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost())
        throw new Unsupported(`This device does not compile a shader: ${gl.getShaderInfoLog(shader)}`);
      gl.deleteShader(shader);
    }
    gl.linkProgram(this.name);
    if (!gl.getProgramParameter(this.name, gl.LINK_STATUS) && !gl.isContextLost())
      throw new Unsupported(`This device does not link a shader: ${gl.getProgramInfoLog(this.name)}`);
    this.uniforms = {};
    const count = gl.getProgramParameter(this.name, gl.ACTIVE_UNIFORMS) || 0;
    for (let i = 0; i < count; i++) {
      const { name, type } = gl.getActiveUniform(this.name, i);
      this.uniforms[name] = { place: gl.getUniformLocation(this.name, name), type };
    }
  }

  use(textures, values) {
    const { gl, uniforms } = this;
    gl.useProgram(this.name);
    Object.entries(textures).forEach(([sampler, texture], unit) => {
      texture.bind(unit);
      if (uniforms[sampler]) gl.uniform1i(uniforms[sampler].place, unit);
    });
    for (const [name, value] of Object.entries(values)) if (uniforms[name]) this.set(uniforms[name], value);
  }

  set({ place, type }, value) {
    const { gl } = this;
    if (type === gl.FLOAT) gl.uniform1f(place, value);
    else if (type === gl.BOOL || type === gl.INT) gl.uniform1i(place, Number(value));
    else if (type === gl.FLOAT_VEC2) gl.uniform2fv(place, value);
    else if (type === gl.FLOAT_VEC3) gl.uniform3fv(place, value);
    else if (type === gl.FLOAT_VEC4) gl.uniform4fv(place, value);
    else if (type === gl.FLOAT_MAT3) gl.uniformMatrix3fv(place, true, value); // row by row
    else if (type === gl.FLOAT_MAT4) gl.uniformMatrix4fv(place, true, value);
  }

  // Once for every texel of what is bound.
  cover() {
    this.gl.disable(this.gl.BLEND);
    this.gl.drawArrays(this.gl.TRIANGLES, 0, 3);
  }

  delete() {
    this.gl.deleteProgram(this.name);
  }
}
