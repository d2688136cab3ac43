"use strict";
// The surface of a map at a level, as points, normals and triangles: naive surface nets (Gibson 1998, MICCAI, 888).
// Each cell of eight voxels that the surface crosses has one point, the mean of where its edges cross the level by linear
// interpolation; each edge between two voxels that crosses it has a square of the four cells around it. Nothing is smoothed, so that
// the surface encloses the volume above the level. "values" has x slowest; coordinates are in voxel sizes from the first voxel.
function surfaceOf(values, [countX, countY, countZ], voxelSizes, level) {
  const stepX = countY * countZ, stepY = countZ, steps = [stepX, stepY, 1];
  const corners = [0, 1, 2, 3, 4, 5, 6, 7].map((bits) => [bits & 1, (bits >> 1) & 1, (bits >> 2) & 1]);
  const offsets = corners.map(([x, y, z]) => x * stepX + y * stepY + z);
  const edges = [];
  for (let a = 0; a < 8; a++) for (const bit of [1, 2, 4]) if (!(a & bit)) edges.push([a, a | bit]);

  const pointOf = new Int32Array(values.length).fill(-1), points = [], normals = [], triangles = [];
  const addPoint = (cell, origin) => {
    const mean = [0, 0, 0];
    let crossings = 0;
    for (const [a, b] of edges) {
      const first = values[cell + offsets[a]] - level, second = values[cell + offsets[b]] - level;
      if (first > 0 === second > 0) continue;
      const part = first / (first - second);
      for (let axis = 0; axis < 3; axis++) mean[axis] += corners[a][axis] + part * (corners[b][axis] - corners[a][axis]);
      crossings++;
    }
    if (!crossings) return;
    pointOf[cell] = points.length;
    points.push(mean.map((sum, axis) => (origin[axis] + sum / crossings) * voxelSizes[axis]));
    normals.push([0, 0, 0]);
  };
  const addTriangle = (a, b, c) => {
    const [p, q, r] = [points[a], points[b], points[c]];
    const [ux, uy, uz] = [q[0] - p[0], q[1] - p[1], q[2] - p[2]], [vx, vy, vz] = [r[0] - p[0], r[1] - p[1], r[2] - p[2]];
    const across = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
    for (const point of [a, b, c]) for (let axis = 0; axis < 3; axis++) normals[point][axis] += across[axis];
    triangles.push(a, b, c);
  };

  for (let x = 0; x < countX - 1; x++)
    for (let y = 0; y < countY - 1; y++)
      for (let z = 0; z < countZ - 1; z++) addPoint(x * stepX + y * stepY + z, [x, y, z]);
  for (let x = 1; x < countX - 1; x++)
    for (let y = 1; y < countY - 1; y++)
      for (let z = 1; z < countZ - 1; z++) {
        const voxel = x * stepX + y * stepY + z, inside = values[voxel] > level;
        for (let axis = 0; axis < 3; axis++) {
          if (inside === values[voxel + steps[axis]] > level) continue;
          const [u, v] = [steps[(axis + 1) % 3], steps[(axis + 2) % 3]];
          const [a, b, c, d] = [voxel - u - v, voxel - v, voxel, voxel - u].map((cell) => pointOf[cell]);
          if (inside) { addTriangle(a, b, c); addTriangle(a, c, d); } else { addTriangle(a, c, b); addTriangle(a, d, c); }
        }
      }
  const units = normals.map(([x, y, z]) => { const size = Math.hypot(x, y, z) || 1; return [x / size, y / size, z / size]; });
  return { points, normals: units, triangles };
}
