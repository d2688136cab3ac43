"use strict";
(() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  function compare(comparison) {
    const split = one("#split"), pick = one("#pick"), support = one("#support"), opacity = one("#opacity");
    const names = [...pick.options].map((option) => option.value);

    const setSplit = (percent) => {
      split.value = Math.min(100, Math.max(0, percent));
      comparison.style.setProperty("--split", `${split.value}%`);
      split.setAttribute("aria-valuetext", `${split.value} % raw`);
    };
    const show = (name) => {
      pick.value = name;
      all(".view", comparison).forEach((view) => view.classList.toggle("shown", view.id === `view-${name}`));
      all("tbody tr").forEach((row) => {
        const button = one("[data-view]", row);
        row.classList.toggle("current", button !== null && button.dataset.view === name);
      });
    };
    const step = (by) => show(names[(names.indexOf(pick.value) + by + names.length) % names.length]);
    const overlay = () => {
      comparison.classList.toggle("with-support", support.checked);
      comparison.style.setProperty("--support", opacity.value / 100);
    };
    const follow = (event) => {
      const box = event.target.closest(".stage").getBoundingClientRect();
      setSplit(Math.round((100 * (event.clientX - box.left)) / box.width));
    };

    split.addEventListener("input", () => setSplit(split.value));
    pick.addEventListener("change", () => show(pick.value));
    one("#previous").addEventListener("click", () => step(-1));
    one("#next").addEventListener("click", () => step(1));
    support.addEventListener("input", overlay);
    opacity.addEventListener("input", () => { support.checked = true; overlay(); });
    all(".stage", comparison).forEach((stage) => {
      stage.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        event.preventDefault();
        stage.setPointerCapture(event.pointerId);
        follow(event);
      });
      stage.addEventListener("pointermove", (event) => { if (stage.hasPointerCapture(event.pointerId)) follow(event); });
    });
    one("#micrographs").addEventListener("click", (event) => {
      const button = one("[data-view]", event.target.closest("tbody tr") || document.createElement("p"));
      if (button === null) return;
      show(button.dataset.view);
      one("#comparison").scrollIntoView();
    });
    setSplit(50);
    overlay();
    show(names[0]);
  }

  // A cell as a number; what is no number comes last in either direction.
  const quantity = (text) => parseFloat(text.replaceAll("−", "-"));

  // Laying out thousands of rows takes seconds, so only so many are shown until all are asked for.
  const AT_FIRST = 250;

  function tabulate(table) {
    const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells], order = new Intl.Collator(undefined, { numeric: true });
    const filter = one("#filter"), everything = one("#everything");
    let rows = [...body.rows].map((row) => ({ row, text: row.textContent.toLowerCase() })), limit = AT_FIRST;

    const show = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      let matching = 0;
      rows.forEach(({ row, text }) => {
        const matches = words.every((word) => text.includes(word));
        row.hidden = !matches || matching >= limit;
        matching += matches;
      });
      everything.hidden = matching <= limit;
      one("#matching").textContent = `${matching} of ${rows.length}${matching > limit ? `, the first ${limit} shown` : ""}`;
    };
    const sort = (column, direction) => {
      const numeric = heads[column].classList.contains("number"), sign = direction === "ascending" ? 1 : -1;
      const compare = numeric
        ? (a, b) => Number.isNaN(a) - Number.isNaN(b) || sign * (a - b) || 0
        : (a, b) => sign * order.compare(a, b);
      const keys = new Map(rows.map(({ row }) => {
        const text = row.cells[column].textContent;
        return [row, numeric ? quantity(text) : text];
      }));
      rows.sort((a, b) => compare(keys.get(a.row), keys.get(b.row)));
      heads.forEach((head) => head.removeAttribute("aria-sort"));
      heads[column].setAttribute("aria-sort", direction);
      const fragment = document.createDocumentFragment();
      rows.forEach(({ row }) => fragment.append(row));
      show();
      body.append(fragment);
    };
    heads.forEach((head, column) => head.addEventListener("click", () => {
      const first = head.classList.contains("number") ? "descending" : "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      sort(column, head.getAttribute("aria-sort") === first ? other : first);
    }));
    filter.addEventListener("input", show);
    everything.addEventListener("click", () => { limit = rows.length; show(); });
    show();
  }

  const short = (number) => String(Number(number.toPrecision(3)));

  // As restore.report.numerals.figure writes it; the ends of an interval have the value's decimals.
  const figure = (number) => {
    const size = Math.abs(number);
    if (number === 0) return "0";
    if (size >= 100 && size < 1e6) return number.toFixed(0);
    return size >= 1e-4 && size < 1e6 ? number.toPrecision(3) : number.toExponential(2);
  };
  const like = (value, end) => {
    const written = figure(value);
    return written.includes("e") || written === "0" ? figure(end) : end.toFixed((written.split(".")[1] || "").length);
  };
  const estimate = (value, low, high) => {
    if (value === null) return "–";
    const ends = low === null || high === null ? "" : ` (${like(value, low)} to ${like(value, high)})`;
    return (figure(value) + ends).replaceAll("-", "−");
  };

  function readable(chart, readings) {
    const plot = one(".plot", chart), outputs = all(".reading", chart);
    const box = plot.viewBox.baseVal;
    const drawn = (kind, look) => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", kind);
      element.setAttribute("class", look);
      return plot.appendChild(element);
    };
    const cursor = drawn("path", "cursor"), at = drawn("text", "at");
    let index = -1;
    const read = (wanted) => {
      index = Math.min(readings.x.length - 1, Math.max(0, wanted));
      const x = readings.x[index], place = readings.place[index], left = place * box.width;
      cursor.setAttribute("d", `M${left.toFixed(1)} 12V${box.height - 42}`);
      at.setAttribute("x", left + (place > 0.5 ? -6 : 6));
      at.setAttribute("y", 24);
      at.setAttribute("text-anchor", place > 0.5 ? "end" : "start");
      const resolution = () => (x === 0 ? "mean" : `${short(1 / x)} Å`);
      at.textContent = readings.unit === "Å" ? resolution() : readings.unit.replace("#", x);
      readings.lines.forEach(([value, low, high], line) => {
        outputs[line].textContent = estimate(value[index], low[index], high[index]);
      });
    };
    const clear = () => {
      index = -1;
      cursor.removeAttribute("d");
      at.textContent = "";
      outputs.forEach((output) => { output.textContent = ""; });
    };
    const point = (event) => {
      const edges = plot.getBoundingClientRect(), place = (event.clientX - edges.left) / edges.width;
      const distance = readings.place.map((each) => Math.abs(each - place));
      read(distance.indexOf(Math.min(...distance)));
    };
    plot.addEventListener("pointermove", point);
    plot.addEventListener("pointerdown", point);
    plot.addEventListener("pointerleave", clear);
    plot.addEventListener("blur", clear);
    plot.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by === undefined) return;
      event.preventDefault();
      read(index + by);
    });
  }

  const comparison = one(".comparison");
  if (comparison) compare(comparison);
  const table = one("#micrographs table");
  if (table) tabulate(table);
  const readings = JSON.parse(one("#readings").textContent);
  all(".chart").forEach((chart) => readable(chart, readings[chart.dataset.chart]));
})();
