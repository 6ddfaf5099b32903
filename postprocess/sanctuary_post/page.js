"use strict";
(async () => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const short = (value) => (value === 0 ? "0" : Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6 ? value.toExponential(2) : String(+value.toPrecision(3)));
  const held = (name) => document.getElementById(`data-${name}`);

  // Data are gzip streams in base64; browsers since 2023 open them without help.
  async function opened(name) {
    const text = held(name).textContent;
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  }
  if (typeof DecompressionStream === "undefined") return;
  const about = JSON.parse(new TextDecoder().decode(await opened("about")));

  // Slices: index of a cell in [z, y, x] order from the position of each axis.
  const axes = { z: ["x", "y"], y: ["x", "z"], x: ["y", "z"] };
  const sides = (shape) => ({ z: shape[0], y: shape[1], x: shape[2] });
  const cell = (side, share) => Math.min(side - 1, Math.floor(share * side));
  const tumour = about.tumour ? { data: new Uint8Array(await opened("tumour")), side: sides(about.tumour) } : null;

  function level(volume, place) {
    return volume.data[(cell(volume.side.z, place.z) * volume.side.y + cell(volume.side.y, place.y)) * volume.side.x + cell(volume.side.x, place.x)];
  }

  function draw(canvas, volume, axis, share) {
    const [across, up] = axes[axis];
    const columns = volume.side[across], rows = volume.side[up];
    const zoom = Math.max(1, Math.ceil(480 / Math.max(columns, rows)));
    canvas.width = columns * zoom;
    canvas.height = rows * zoom;
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(columns, rows);
    const place = { [axis]: share };
    for (let row = 0; row < rows; ++row) {
      for (let column = 0; column < columns; ++column) {
        place[across] = (column + 0.5) / columns;
        place[up] = (rows - row - 0.5) / rows;
        const from = 3 * level(volume, place), to = 4 * (row * columns + column);
        for (let i = 0; i < 3; ++i) pixels.data[to + i] = volume.colours[from + i];
        pixels.data[to + 3] = 255;
      }
    }
    const plain = new OffscreenCanvas(columns, rows);
    plain.getContext("2d").putImageData(pixels, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(plain, 0, 0, canvas.width, canvas.height);
    if (tumour) outline(context, canvas, axis, share);
  }

  function outline(context, canvas, axis, share) {
    const [across, up] = axes[axis];
    const columns = tumour.side[across], rows = tumour.side[up];
    const wide = canvas.width / columns, high = canvas.height / rows;
    const inside = (column, row) => level(tumour, { [axis]: share, [across]: (column + 0.5) / columns, [up]: (rows - row - 0.5) / rows });
    const path = new Path2D();
    for (let row = 0; row < rows; ++row) {
      for (let column = 0; column < columns; ++column) {
        const here = inside(column, row);
        if (column + 1 < columns && inside(column + 1, row) !== here) {
          path.moveTo((column + 1) * wide, row * high);
          path.lineTo((column + 1) * wide, (row + 1) * high);
        }
        if (row + 1 < rows && inside(column, row + 1) !== here) {
          path.moveTo(column * wide, (row + 1) * high);
          path.lineTo((column + 1) * wide, (row + 1) * high);
        }
      }
    }
    context.lineCap = "square";
    for (const [style, width] of [["rgba(0,0,0,.65)", 5], ["#fff", 2.2]]) {
      context.strokeStyle = style;
      context.lineWidth = width;
      context.stroke(path);
    }
  }

  async function prepare(figure) {
    const described = about.volumes[+figure.dataset.volume];
    const volume = { ...described, side: sides(described.shape), data: new Uint8Array(await opened(`volume-${figure.dataset.volume}`)) };
    const readout = figure.querySelector("figcaption output");
    const slices = all(".slice", figure).map((slice) => {
      const canvas = document.createElement("canvas");
      const image = slice.querySelector("img");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", image.alt.replace("middle slice", "slice"));
      image.replaceWith(canvas);
      const axis = slice.dataset.axis, [across, up] = axes[axis];
      const one = { canvas, axis, share: 0.5, where: slice.querySelector(".where span") };
      canvas.addEventListener("pointermove", (event) => {
        const box = canvas.getBoundingClientRect();
        const clamp = (value) => Math.min(0.999999, Math.max(0, value));
        const found = level(volume, { [axis]: one.share, [across]: clamp((event.clientX - box.left) / box.width), [up]: clamp(1 - (event.clientY - box.top) / box.height) });
        if (volume.classes.length) readout.textContent = volume.classes[found] ?? "";
        else readout.textContent = found === 255 ? "no value" : `${short(volume.low + ((volume.high - volume.low) * found) / 254)} ${volume.unit}`;
      });
      canvas.addEventListener("pointerleave", () => (readout.textContent = ""));
      return one;
    });
    return (axis, share) => {
      for (const one of slices) {
        if (one.axis !== axis) continue;
        one.share = share;
        one.where.textContent = `${axis} = ${short(share * about.size[axis])} mm`;
        draw(one.canvas, volume, axis, share);
      }
    };
  }

  for (const sliders of all(".sliders")) {
    const shows = await Promise.all(all("figure.field", sliders.parentElement).map(prepare));
    sliders.hidden = false;
    for (const input of all("input", sliders)) {
      const move = () => {
        input.nextElementSibling.textContent = `${short(+input.value * about.size[input.dataset.axis])} mm`;
        for (const show of shows) show(input.dataset.axis, +input.value);
      };
      input.addEventListener("input", move);
      move();
    }
  }

  if (!held("plotly")) return;
  const library = document.createElement("script");
  library.textContent = new TextDecoder().decode(await opened("plotly"));
  document.head.append(library);
  const settings = { responsive: true, displaylogo: false, displayModeBar: false };

  for (const place of all(".chart")) {
    const chart = about.charts[place.dataset.chart];
    place.replaceChildren();
    await Plotly.newPlot(place, chart.data, chart.layout, settings);
  }

  // Vessels: one tube per segment, coloured by the values at its ends.
  function tubes(vessels) {
    const count = vessels.radius.length;
    const around = count <= 4000 ? 8 : count <= 9000 ? 6 : 4;
    const mesh = { x: [], y: [], z: [], i: [], j: [], k: [], around };
    for (let segment = 0; segment < count; ++segment) {
      const [a, b] = [0, 3].map((offset) => vessels.ends.slice(6 * segment + offset, 6 * segment + offset + 3));
      const along = b.map((value, i) => value - a[i]);
      const length = Math.hypot(...along) || 1;
      const axis = along.map((value) => value / length);
      const least = axis.map(Math.abs).indexOf(Math.min(...axis.map(Math.abs)));
      const first = [0, 1, 2].map((i) => (i === least ? 1 : 0) - axis[least] * axis[i]);
      const size = Math.hypot(...first) || 1;
      const one = first.map((value) => value / size);
      const two = [axis[1] * one[2] - axis[2] * one[1], axis[2] * one[0] - axis[0] * one[2], axis[0] * one[1] - axis[1] * one[0]];
      const start = mesh.x.length, radius = vessels.radius[segment] * vessels.factor;
      for (const end of [a, b]) {
        for (let n = 0; n < around; ++n) {
          const angle = (2 * Math.PI * n) / around, c = radius * Math.cos(angle), s = radius * Math.sin(angle);
          mesh.x.push(end[0] + c * one[0] + s * two[0]);
          mesh.y.push(end[1] + c * one[1] + s * two[1]);
          mesh.z.push(end[2] + c * one[2] + s * two[2]);
        }
      }
      for (let n = 0; n < around; ++n) {
        const next = (n + 1) % around;
        mesh.i.push(start + n, start + next);
        mesh.j.push(start + next, start + around + next);
        mesh.k.push(start + around + n, start + around + n);
      }
    }
    return mesh;
  }

  function graphics() {
    try {
      return !!document.createElement("canvas").getContext("webgl");
    } catch {
      return false;
    }
  }

  const vessels = about.vessels;
  const view = document.getElementById("vessel-view");
  if (!vessels || !view || !graphics()) return;
  const { around, ...mesh } = tubes(vessels);
  const coloured = (quantity) => {
    const intensity = [], text = [];
    const unit = quantity.unit ? ` ${quantity.unit}` : "";
    quantity.values.forEach((value, index) => {
      const segment = index >> 1;
      const words = `segment ${vessels.number[segment]}<br>radius ${short(vessels.radius[segment] * 1e3)} µm<br>${quantity.label}: ${value === null ? "none" : short(value) + unit}`;
      for (let n = 0; n < around; ++n) {
        intensity.push(value ?? quantity.low);
        text.push(words);
      }
    });
    return { intensity, text, colorscale: quantity.colours, cmin: quantity.low, cmax: quantity.high, showscale: false };
  };
  const legend = (quantity) => {
    const place = document.getElementById("vessel-legend");
    const span = (part) => short(quantity.low + (quantity.high - quantity.low) * part);
    place.querySelector("b").textContent = `${quantity.label} [${quantity.unit || "1"}]`;
    place.querySelector(".bar").style.background = quantity.gradient;
    all(".ticks span", place).forEach((tick, i) => (tick.textContent = (i === 4 && quantity.clipped ? "≥ " : "") + span(i / 4)));
    place.hidden = false;
  };
  const axis = (name) => ({ title: { text: `${name} [mm]` }, gridcolor: "#ddd", backgroundcolor: "#fafbfc", showbackground: true, zeroline: false, showspikes: false });
  const layout = { autosize: true, margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: "#fff", font: { family: "system-ui, sans-serif", size: 12, color: "#222" },
    scene: { aspectmode: "data", xaxis: axis("x"), yaxis: axis("y"), zaxis: axis("z"), camera: { eye: { x: 1.6, y: -1.6, z: 1.0 }, center: { x: 0, y: 0, z: -0.08 } }, dragmode: "orbit" } };
  const trace = { type: "mesh3d", ...mesh, hovertemplate: "%{text}<extra></extra>", flatshading: false,
    lighting: { ambient: 0.65, diffuse: 0.6, specular: 0.12, roughness: 0.7 } };
  const buttons = all("#vessel-buttons button");
  const show = (index) => {
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", i === index));
    const look = vessels.quantities.length ? coloured(vessels.quantities[index]) : { color: vessels.lines[0] };
    if (vessels.quantities.length) legend(vessels.quantities[index]);
    return Plotly.react(view, [{ ...trace, ...look }], { ...layout, uirevision: "keep" }, settings);
  };
  view.hidden = false;
  document.getElementById("vessel-buttons").hidden = !buttons.length;
  buttons.forEach((button, index) => button.addEventListener("click", () => show(index)));
  await show(0);
  document.getElementById("vessel-flat").hidden = true;
})();
