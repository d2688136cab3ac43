"use strict";
// Scenes of maps: rows of surfaces that turn together. surface.js finds the surfaces, 3Dmol.js draws them.
(() => {
  const rows = JSON.parse(document.getElementById("scenes").textContent);

  async function unpacked(volume) {
    const bytes = Uint8Array.from(atob(volume.steps), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Int8Array(await new Response(stream).arrayBuffer());
  }

  async function drawn(scene, place) {
    const viewer = $3Dmol.createViewer(place, {
      backgroundColor: getComputedStyle(place).backgroundColor, orthographic: true, antialias: true,
    });
    const { size_xyz: size, voxel_xyz_A: voxel } = scene.volume;
    const { points, normals, triangles } = surfaceOf(await unpacked(scene.volume), size, voxel, 0.5);
    const vector = ([x, y, z]) => new $3Dmol.Vector3(x, y, z);
    const shape = viewer.addCustom({
      vertexArr: points.map(vector), normalArr: normals.map(vector), faceArr: triangles,
      color: scene.colour, opacity: scene.atoms ? 0.55 : 1,
    });
    const end = (choose) => [0, 1, 2].map((axis) => points.reduce((end, point) => choose(end, point[axis]), points[0][axis]));
    if (points.length) shape.boundingSphere.box = { min: vector(end(Math.min)), max: vector(end(Math.max)) };
    if (scene.atoms) {
      viewer.addModel(scene.atoms, "pdb");
      viewer.setStyle({}, { stick: { radius: 0.14, colorscheme: "Jmol" } });
    }
    viewer.zoomTo();
    viewer.zoom(scene.atoms ? 1.35 : 1.7);
    viewer.render();
    return viewer;
  }

  async function show(figure) {
    const row = rows[Number(figure.dataset.row)];
    const places = [...figure.querySelectorAll(".scene")];
    const viewers = await Promise.all(row.scenes.map((scene, number) => drawn(scene, places[number])));
    const widest = Math.min(...viewers.map((viewer) => viewer.getView()[3]));
    let turning = false;
    const together = (view) => {
      if (turning) return;
      turning = true;
      for (const viewer of viewers) {
        const own = viewer.getView();
        viewer.setView([own[0], own[1], own[2], ...view.slice(3)]);
      }
      turning = false;
    };
    const turn = (name) => together([0, 0, 0, viewers[0].getView()[3], ...row.turns[name]]);
    together([0, 0, 0, widest, ...Object.values(row.turns)[0]]);
    viewers.forEach((viewer) => viewer.setViewChangeCallback(together));
    figure.querySelectorAll("button").forEach((button) => {
      button.addEventListener("click", () => turn(button.dataset.turn));
    });
    figure.dataset.ready = "true";
  }

  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      watcher.unobserve(entry.target);
      show(entry.target).catch((error) => {
        entry.target.querySelector(".scene-note").textContent =
          `This browser cannot draw the maps (${error.message}): WebGL is needed.`;
      });
    }
  });
  document.querySelectorAll("figure.scenes").forEach((figure) => watcher.observe(figure));
})();
