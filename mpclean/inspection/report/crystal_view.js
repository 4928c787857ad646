// A crystal that can be turned: balls and sticks on a plain 2-D canvas.
//
// Written for this page, and not a library such as 3Dmol.js (BSD-3, 500 kB): a report holds dozens of
// crystals of about 100 atoms, and browsers allow 8 to 16 WebGL contexts in a page. Atoms and bonds are
// sorted by depth and drawn over one another (the painter's algorithm), which is enough for balls that
// do not cut through each other.
"use strict";

for (const picture of document.querySelectorAll("img[data-crystal]")) {
  const scene = JSON.parse(picture.dataset.crystal);
  const canvas = document.createElement("canvas");
  const reach = Math.max(...scene.places.map((p) => Math.hypot(...p))) + 1.2;
  const far = Math.max(...scene.corners.map((p) => Math.hypot(...p)));
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let turn = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
  let zoom = 1;

  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", picture.alt + " Arrow keys turn it, plus and minus zoom.");
  canvas.title = "Drag to turn; + and - zoom; double-click to reset";
  picture.after(canvas);
  picture.classList.add("print-only");

  const turned = (p) => turn.map((row) => row[0] * p[0] + row[1] * p[1] + row[2] * p[2]);

  // Turn about the vertical and the horizontal of the screen, by angles in radians.
  function rotate(about_y, about_x) {
    const [cy, sy, cx, sx] = [Math.cos(about_y), Math.sin(about_y), Math.cos(about_x), Math.sin(about_x)];
    const step = [[cy, 0, sy], [sx * sy, cx, -sx * cy], [-cx * sy, sx, cx * cy]];
    turn = step.map((row) => [0, 1, 2].map((k) => row[0] * turn[0][k] + row[1] * turn[1][k] + row[2] * turn[2][k]));
    draw();
  }

  // What is far takes on the colour of the page.
  function hazy(colour, depth, paper) {
    const part = 0.5 * Math.min(Math.max((reach - depth) / (2 * reach), 0), 1);
    const mixed = [1, 3, 5].map((k) => {
      const [own, page] = [colour, paper].map((text) => parseInt(text.slice(k, k + 2), 16));
      return Math.round(own + (page - own) * part);
    });
    return `rgb(${mixed})`;
  }

  function draw() {
    const ratio = devicePixelRatio || 1;
    const size = canvas.clientWidth;
    if (!size) return;
    canvas.width = canvas.height = Math.round(size * ratio);
    const context = canvas.getContext("2d");
    // A cell that is much longer than the block of atoms may leave the picture, or the atoms were dots.
    const scale = (zoom * size * ratio) / (2 * Math.max(reach, Math.min(far + 0.3, 2.2 * reach)));
    const [paper, ink, stick] = dark.matches ? ["#14181d", "#e6e9ed", "#9aa4ae"] : ["#ffffff", "#1b1f24", "#6b6b6b"];
    const at = (p) => [canvas.width / 2 + scale * p[0], canvas.height / 2 - scale * p[1]];
    const places = scene.places.map(turned);
    const corners = scene.corners.map(turned);
    const items = places.map((p, k) => ({ depth: p[2], ball: k }));
    for (const [i, j] of scene.bonds) items.push({ depth: (places[i][2] + places[j][2]) / 2 - 0.01, bond: [places[i], places[j]] });
    items.sort((a, b) => a.depth - b.depth);
    context.lineCap = "round";
    for (const item of items) {
      if (item.bond) {
        context.strokeStyle = hazy(stick, item.depth, paper);
        context.lineWidth = 0.18 * scale;
        context.beginPath();
        context.moveTo(...at(item.bond[0]));
        context.lineTo(...at(item.bond[1]));
        context.stroke();
        continue;
      }
      const [, colour, radius] = scene.elements[scene.element[item.ball]];
      const [x, y] = at(places[item.ball]);
      const r = radius * scale;
      const shade = context.createRadialGradient(x - 0.35 * r, y - 0.35 * r, 0.1 * r, x, y, r);
      shade.addColorStop(0, hazy("#ffffff", item.depth, paper));
      shade.addColorStop(0.35, hazy(colour, item.depth, paper));
      shade.addColorStop(1, hazy(colour, item.depth, paper));
      context.fillStyle = shade;
      context.strokeStyle = hazy("#404040", item.depth, paper);
      context.lineWidth = 0.6 * ratio;
      context.beginPath();
      context.arc(x, y, r, 0, 2 * Math.PI);
      context.fill();
      context.stroke();
    }
    context.strokeStyle = ink;
    context.lineWidth = ratio;
    context.setLineDash([4 * ratio, 3 * ratio]);
    context.beginPath();
    for (const [i, j] of scene.edges) {
      context.moveTo(...at(corners[i]));
      context.lineTo(...at(corners[j]));
    }
    context.stroke();
  }

  const key = document.createElement("p");
  key.className = "elements";
  for (const [symbol, colour] of scene.elements) {
    const entry = document.createElement("span");
    const dot = document.createElement("i");
    dot.style.background = colour;
    entry.append(dot, symbol);
    key.append(entry);
  }
  canvas.after(key);

  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    if (canvas.hasPointerCapture(event.pointerId)) rotate(0.01 * event.movementX, 0.01 * event.movementY);
  });
  canvas.addEventListener("dblclick", () => {
    turn = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
    zoom = 1;
    draw();
  });
  canvas.addEventListener("keydown", (event) => {
    const turns = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] };
    const zooms = { "+": 1.15, "=": 1.15, "-": 1 / 1.15 };
    if (event.key in turns) rotate(...turns[event.key]);
    else if (event.key in zooms) { zoom *= zooms[event.key]; draw(); }
    else return;
    event.preventDefault();
  });
  dark.addEventListener("change", draw);
  new ResizeObserver(draw).observe(canvas);
}
