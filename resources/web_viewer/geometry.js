// Rotations, the orbiting camera and the motion of the head: core/geometry.py and core/avatar/motion.py.

// Rodrigues' formula, row by row.
export function rotationMatrix([x, y, z]) {
  const angle = Math.hypot(x, y, z);
  const a = angle > 1e-8 ? Math.sin(angle) / angle : 1, b = angle > 1e-8 ? (1 - Math.cos(angle)) / (angle * angle) : 0.5;
  return [1 - b * (y * y + z * z), b * x * y - a * z, b * x * z + a * y,
    b * x * y + a * z, 1 - b * (x * x + z * z), b * y * z - a * x,
    b * x * z - a * y, b * y * z + a * x, 1 - b * (x * x + y * y)];
}

export function turned(m, [x, y, z]) {
  return [m[0] * x + m[1] * y + m[2] * z, m[3] * x + m[4] * y + m[5] * z, m[6] * x + m[7] * y + m[8] * z];
}

// A camera that looks at a point. view: yaw, pitch (radians), distance (metres), width, height (pixels) and, where the picture
// has a frame of its own in a larger canvas, span: pixels of the shorter side of that, and lift: how far it lies above the middle.
export function orbitCamera(optics, view) {
  const { target, fov } = optics, { yaw, pitch, distance = optics.distance, width, height, lift = 0 } = view;
  const span = view.span || Math.min(width, height);
  const cp = Math.cos(pitch), direction = [Math.sin(yaw) * cp, Math.sin(pitch), Math.cos(yaw) * cp];
  const forward = direction.map((v) => -v);
  let right = [-forward[2], 0, forward[0]]; // forward x up
  const length = Math.hypot(...right);
  right = right.map((v) => v / length);
  const down = [forward[1] * right[2] - forward[2] * right[1], forward[2] * right[0] - forward[0] * right[2],
    forward[0] * right[1] - forward[1] * right[0]];
  const eye = target.map((v, i) => v + distance * direction[i]);
  const rows = [right, down, forward].map((axis) => [...axis, -(axis[0] * eye[0] + axis[1] * eye[1] + axis[2] * eye[2])]);
  const focal = (0.5 * span) / Math.tan(fov / 2);
  return { worldToCamera: new Float32Array([...rows.flat(), 0, 0, 0, 1]), intrinsics: [focal, focal, width / 2, height / 2 - lift],
    width, height, eye };
}

// How the head moves when the person turned by `rotation` (axis-angle) and stands at `translation` (null: on the spot).
export function headMotion(settings, neckJoint, rotation, translation, rest) {
  let shift = [0, 0, 0];
  if (translation && rest) {
    const byTurning = turned(rotationMatrix(rotation), neckJoint);
    const wanted = translation.map((v, i) => (v - rest[i] - (neckJoint[i] - byTurning[i])) * settings.translationGain[i]);
    const length = Math.hypot(...wanted);
    shift = wanted.map((v) => v / (1 + length / settings.translationLimit));
  }
  const followed = Array.from(rotation, (v) => v * settings.rotationGain), angle = Math.hypot(...followed);
  return {
    rotation: new Float32Array(rotationMatrix(followed)), axis: angle > 1e-9 ? followed.map((v) => v / angle) : [0, 1, 0],
    turn: [Math.cos(angle), Math.sin(angle), Math.cos(angle / 2), Math.sin(angle / 2)],
    headShift: shift, bodyShift: shift.map((v) => v * settings.shoulderShare),
  };
}
