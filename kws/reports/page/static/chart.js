"use strict";
// Learning curves as SVG. A run keeps its colour and its dashes; validation is bold, training pale. Pointing or the arrow
// keys move a cursor over the epochs, whose values the caller shows; dragging or + and - enlarge a stretch of them.
class Chart {
  constructor(box, { onCursor, onZoom }) {
    Object.assign(this, { box, onCursor, onZoom, runs: [], quantity: "accuracy", sides: [], cursor: null, zoom: null, drag: null });
    new ResizeObserver(() => this.draw()).observe(box);
    box.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse" && event.button === 0) this.drag = { from: this.epochAt(event), to: this.epochAt(event) };
      this.moveTo(this.epochAt(event));
    });
    box.addEventListener("pointermove", (event) => {
      if (this.drag) this.drag.to = this.epochAt(event);
      this.moveTo(this.epochAt(event));
    });
    window.addEventListener("pointerup", () => {
      const drag = this.drag;
      this.drag = null;
      if (!drag) return;
      const [from, to] = [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)];
      if (to > from) this.zoomTo([from, to]);
      else this.draw();
    });
    box.addEventListener("dblclick", () => this.zoomTo(null));
    box.addEventListener("keydown", (event) => this.key(event));
  }

  // runs: [{slot, epochs, train_accuracy, validation_accuracy, train_loss, validation_loss}]; sides: "train", "validation"
  show(runs, quantity, sides) {
    Object.assign(this, { runs, quantity, sides });
    const [first, last] = this.whole();
    if (this.cursor === null || this.cursor > last || this.cursor === this.end) this.cursor = last;
    this.end = last;
    if (this.zoom && (this.zoom[1] > last || this.zoom[0] < first)) this.zoomTo(null);
    this.moveTo(this.cursor);
  }

  whole() {
    const all = this.runs.flatMap((run) => (run.epochs.length ? [run.epochs[0], run.epochs.at(-1)] : []));
    return all.length ? [Math.min(...all), Math.max(...all)] : [1, 1];
  }

  range() { return this.zoom ?? this.whole(); }

  zoomTo(range) {
    this.zoom = range;
    this.onZoom(range !== null);
    const [first, last] = this.range();
    this.moveTo(Math.min(Math.max(this.cursor ?? last, first), last));
  }

  moveTo(epoch) {
    this.cursor = epoch;
    this.draw();
    this.onCursor(epoch);
  }

  key(event) {
    const [first, last] = this.range(), middle = this.cursor ?? last;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity };
    if (event.key in steps) this.moveTo(Math.min(Math.max(middle + steps[event.key], first), last));
    else if (event.key === "+" || event.key === "-") {
      const half = Math.max(1, ((last - first) / 2) * (event.key === "+" ? 0.5 : 2)), whole = this.whole();
      const range = [Math.max(whole[0], Math.round(middle - half)), Math.min(whole[1], Math.round(middle + half))];
      this.zoomTo(range[0] <= whole[0] && range[1] >= whole[1] ? null : range);
    } else if (event.key === "Escape") this.zoomTo(null);
    else return;
    event.preventDefault();
  }

  epochAt(event) {
    const [first, last] = this.range(), { left, right } = this.frame();
    const share = (event.clientX - this.box.getBoundingClientRect().left - left) / Math.max(1, right - left);
    return Math.min(Math.max(Math.round(first + share * (last - first)), first), last);
  }

  frame() {
    const width = this.box.clientWidth, height = width < 600 ? 260 : 380;
    return { width, height, left: 58, right: width - 14, top: 12, bottom: height - 42 };
  }

  draw() {
    const { width, height, left, right, top, bottom } = this.frame(), [first, last] = this.range();
    if (width < 100) return;
    const lines = this.runs.flatMap((run) => this.sides.map((side) => ({ run, side, values: run[`${side}_${this.quantity}`] })));
    const seen = lines.flatMap(({ run, values }) => values.filter((v, i) => v !== null && run.epochs[i] >= first && run.epochs[i] <= last));
    const percent = this.quantity === "accuracy";
    const ticks = this.ticks(seen.length ? least(seen) : 0, seen.length ? most(seen) : 1, 6);
    const x = (epoch) => (last === first ? (left + right) / 2 : left + ((epoch - first) / (last - first)) * (right - left));
    const y = (value) => bottom - ((value - ticks[0]) / (ticks.at(-1) - ticks[0])) * (bottom - top);
    const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, height, "aria-hidden": "true" });
    const inside = element("clipPath", { id: "inside" });
    inside.append(element("rect", { x: left - 3, y: top - 3, width: right - left + 6, height: bottom - top + 6 }));
    svg.append(inside);
    const digits = Math.max(0, -Math.floor(Math.log10((ticks[1] - ticks[0]) * (percent ? 100 : 1)) + 1e-9));
    for (const tick of ticks) {
      svg.append(element("line", { class: "grid", x1: left, x2: right, y1: y(tick), y2: y(tick) }));
      svg.append(element("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, (tick * (percent ? 100 : 1)).toFixed(digits)));
    }
    const room = (last - first) / Math.max(2, (right - left) / 60);
    const step = Math.max(1, Math.ceil(round(room)));
    for (let epoch = first; epoch <= last; epoch++)
      if (epoch % step === 0 || last - first < 2) svg.append(element("text", { x: x(epoch), y: bottom + 18, "text-anchor": "middle" }, epoch));
    svg.append(element("text", { x: (left + right) / 2, y: height - 6, "text-anchor": "middle" }, "epoch"));
    const title = percent ? "accuracy (%)" : "cross-entropy (nats)";
    svg.append(element("text", { transform: `translate(14 ${(top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, title));
    if (this.drag && this.drag.to !== this.drag.from) {
      const [from, to] = [x(Math.min(this.drag.from, this.drag.to)), x(Math.max(this.drag.from, this.drag.to))];
      svg.append(element("rect", { class: "picked", x: from, y: top, width: to - from, height: bottom - top }));
    }
    if (this.cursor !== null && this.runs.length)
      svg.append(element("line", { class: "cursor", x1: x(this.cursor), x2: x(this.cursor), y1: top, y2: bottom }));
    for (const { run, side, values } of lines) {
      const path = { class: `line ${side} ${look(run.slot)}`, "clip-path": "url(#inside)", d: "" };
      let pen = "M";
      values.forEach((value, i) => {
        if (value !== null) path.d += `${pen}${x(run.epochs[i]).toFixed(1)} ${y(value).toFixed(1)}`;
        pen = value === null ? "M" : "L";
      });
      svg.append(element("path", path));
      const at = run.epochs.indexOf(this.cursor);
      if (at >= 0 && values[at] !== null && values[at] !== undefined)
        svg.append(element("circle", { class: `line ${side} ${look(run.slot)}`, cx: x(this.cursor), cy: y(values[at]), r: 3 }));
    }
    this.box.replaceChildren(svg);
  }

  ticks(low, high, count) {
    if (this.quantity === "loss" && !this.zoom) low = 0;
    if (high - low < 1e-4) [low, high] = [low - 5e-5, high + 5e-5];
    const step = round((high - low) / count);
    const from = Math.floor(low / step + 1e-9), to = Math.ceil(high / step - 1e-9);
    return Array.from({ length: Math.max(2, to - from + 1) }, (_, i) => (from + i) * step);
  }
}

// The next larger number that is 1, 2 or 5 times a power of ten.
function round(value) {
  const power = 10 ** Math.floor(Math.log10(value || 1));
  return power * [1, 2, 5, 10].find((factor) => power * factor >= value * 0.999);
}

function least(values) { return values.reduce((a, b) => Math.min(a, b)); }
function most(values) { return values.reduce((a, b) => Math.max(a, b)); }
function look(slot) { return `c${slot % 7} d${slot % 4}`; }

function element(name, attributes = {}, text = null) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  return made;
}
