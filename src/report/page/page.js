/* The page's two interactive parts: the brain (three.js) and the words (d3). Their data are JSON in the page; text of users is set as text,
 * never as markup. */
"use strict";
(function () {
  const VIRIDIS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"]; // as in svg.c
  const viridis = d3.quantize(d3.piecewise(d3.interpolateRgb, VIRIDIS), 256).map(text => { const c = d3.rgb(text); return [c.r / 255, c.g / 255, c.b / 255]; });

  function bytes(base64) {
    const text = atob(base64), out = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
    return out.buffer;
  }

  function halves(base64) {
    const bits = new Uint16Array(bytes(base64)), out = new Float32Array(bits.length);
    for (let i = 0; i < bits.length; i++) {
      const h = bits[i], sign = h & 0x8000 ? -1 : 1, exponent = h >> 10 & 31, part = h & 1023;
      out[i] = exponent === 31 ? (part ? NaN : sign * Infinity)
        : exponent === 0 ? sign * part * 5.960464477539063e-8 : sign * Math.pow(2, exponent - 15) * (1 + part / 1024);
    }
    return out;
  }

  function data(name) {
    const script = document.getElementById(name + "-data");
    return script ? JSON.parse(script.textContent) : null;
  }

  const show = value => isFinite(value) ? d3.format(".3f")(value) : "no value";

  function selector(parent, label, names, change) {
    const select = parent.append("label").text(label + " ").append("select").on("change", function () { change(+this.value); });
    select.selectAll("option").data(names).enter().append("option").attr("value", (d, i) => i).text(d => d);
    return select;
  }

  /* ---- one renderer for all pictures; none is drawn before it comes into sight, or is printed ----------------------------------------- */

  let renderer;
  function sharedRenderer() {
    if (renderer === undefined) {
      try { renderer = new THREE.WebGLRenderer({ antialias: true, alpha: true }); }
      catch (fault) { renderer = null; }
    }
    return renderer;
  }

  function whenInSight(element, act) {
    const observer = new IntersectionObserver(seen => { if (seen.some(s => s.isIntersecting)) { observer.disconnect(); act(); } }, { rootMargin: "400px" });
    observer.observe(element);
    window.addEventListener("beforeprint", () => { observer.disconnect(); act(); });
  }

  /* ---- the brain ------------------------------------------------------------------------------------------------------------ */

  /* A mesh of one hemisphere, seen from its side: in its own frame x is to the right of the picture, y up, z towards the reader. */
  function meshOf(hemisphere) {
    const from = halves(hemisphere.positions), to = new Float32Array(from.length), left = hemisphere.side === "left";
    for (let i = 0; i < from.length; i += 3) {
      to[i] = left ? -from[i + 1] : from[i + 1];
      to[i + 1] = from[i + 2];
      to[i + 2] = left ? -from[i] : from[i];
    }
    const geometry = new THREE.BufferGeometry(), buffer = bytes(hemisphere.faces);
    const faces = hemisphere.wide ? new Uint32Array(buffer) : new Uint16Array(buffer);
    geometry.setAttribute("position", new THREE.BufferAttribute(to, 3));
    geometry.setAttribute("color", new THREE.BufferAttribute(new Float32Array(to.length), 3));
    geometry.setIndex(new THREE.BufferAttribute(faces, 1));
    geometry.center();
    geometry.computeVertexNormals();
    return { side: hemisphere.side, geometry: geometry, faces: faces, labels: new Uint16Array(bytes(hemisphere.labels)) };
  }

  /* Borders of regions: through the middles of a triangle's edges whose ends differ. */
  function outlineOf(mesh) {
    const at = mesh.geometry.attributes.position.array, normal = mesh.geometry.attributes.normal.array, points = [];
    const middle = (a, b) => { for (let k = 0; k < 3; k++) points.push((at[3 * a + k] + at[3 * b + k]) / 2 + .35 * (normal[3 * a + k] + normal[3 * b + k]) / 2); };
    for (let f = 0; f < mesh.faces.length; f += 3) {
      const v = [mesh.faces[f], mesh.faces[f + 1], mesh.faces[f + 2]], edges = [];
      for (let e = 0; e < 3; e++) if (mesh.labels[v[e]] !== mesh.labels[v[(e + 1) % 3]]) edges.push([v[e], v[(e + 1) % 3]]);
      for (let e = 1; e < edges.length; e++) { middle(...edges[e - 1]); middle(...edges[e]); }
    }
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(points), 3));
    return geometry;
  }

  /* ---- kinds of maps: colours, legends, what a value is called ------------------------------------------------------------------ */

  const GREY = [.45, .45, .45], PAPER = [.8, .8, .8], BLUE = [0, .45, .7], ORANGE = [.9, .62, 0], RED = [.84, .37, 0];
  const between = (a, b, share) => a.map((x, i) => x + (b[i] - x) * Math.min(1, Math.max(0, share)));
  const scale = (value, low, high) => viridis[Math.round(255 * Math.min(1, Math.max(0, (value - low) / (high - low || 1))))];

  /* colour: null where nothing is coloured; sliders: of the view's state. */
  const kinds = {
    score: {
      sliders: [["threshold", "hide below"], ["low", "colours from"], ["high", "to"]],
      colour: (map, value, state) => !isFinite(value) ? GREY : value < state.threshold ? null : scale(value, state.low, state.high),
      legend: (map, state) => [show(state.low), show(state.high)],
      say: (map, value) => show(value)
    },
    difference: {
      sliders: [["threshold", "hide below \u00b1"], ["high", "colours to \u00b1"]],
      colour: (map, value, state) => !isFinite(value) ? GREY : Math.abs(value) < state.threshold ? null : between([.97, .97, .97], value < 0 ? BLUE : ORANGE, Math.abs(value) / (state.high || 1)),
      legend: (map, state) => [show(-state.high), show(state.high)],
      say: (map, value) => show(value)
    },
    winner: {
      sliders: [],
      colour: (map, value) => !isFinite(value) ? GREY : value > 0 ? BLUE : value < 0 ? RED : null,
      legend: () => ["blue: the first wins; orange: the second; light: tie; grey: no score", ""],
      say: (map, value) => !isFinite(value) ? "no value" : value > 0 ? "the first wins" : value < 0 ? "the second wins" : "tie"
    },
    layer: {
      sliders: [],
      colour: (map, value) => isFinite(value) ? scale(value, 0, map.layers.length - 1) : null,
      legend: map => [map.layers[0], map.layers[map.layers.length - 1] + " (light: no layer passes the null)"],
      say: (map, value) => !isFinite(value) ? "no layer passes the null" : Number.isInteger(value) ? "layer " + map.layers[value] : "layer place " + d3.format(".1f")(value)
    }
  };

  function range(maps) {
    const least = d3.min(maps, m => m.least === null ? Infinity : m.least), most = d3.max(maps, m => m.most === null ? -Infinity : m.most);
    return least <= most ? [least, most] : [0, 1];
  }

  /* A view of one kind of maps: controls, and a panel or two. */
  function view(root, kind, maps, brain) {
    let [least, most] = range(maps);
    if (kind === "difference") [least, most] = [0, Math.max(-least, most)];
    const tested = maps.some(m => m.passes);
    const state = { kind: kinds[kind], passing: tested, threshold: Math.max(0, least), low: Math.max(0, least), high: most, yaw: 0, pitch: 0, near: 1, outline: true };
    const controls = root.append("div").attr("class", "controls"), panels = [], paint = () => panels.forEach(p => p.paint()), draw = () => panels.forEach(p => p.draw());

    function slider([name, label]) {
      const row = controls.append("label").text(label + " "), out = row.append("output").text(show(state[name]));
      row.insert("input", "output").attr("type", "range").attr("data-of", name).attr("min", Math.min(least, 0)).attr("max", most)
        .attr("step", (most - Math.min(least, 0)) / 200 || .001).property("value", state[name]).on("input", function () {
          state[name] = +this.value;
          out.text(show(state[name]));
          paint();
        });
    }
    state.kind.sliders.forEach(slider);
    if (tested) controls.append("button").attr("type", "button").attr("class", "passing").attr("aria-pressed", true).text("only q < " + brain.level).on("click", function () {
      state.passing = !state.passing;
      d3.select(this).attr("aria-pressed", state.passing);
      paint();
    });
    const sides = controls.append("span");
    [["outside", 0, 0], ["inside", Math.PI, 0], ["above", 0, Math.PI / 2], ["below", 0, -Math.PI / 2]].forEach(([name, yaw, pitch]) =>
      sides.append("button").attr("type", "button").text(name).on("click", () => { state.yaw = yaw; state.pitch = pitch; draw(); }));
    controls.append("button").attr("type", "button").attr("class", "outline").attr("aria-pressed", true).text("outlines").on("click", function () {
      state.outline = !state.outline;
      d3.select(this).attr("aria-pressed", state.outline);
      draw();
    });
    const grid = root.append("div").attr("class", "brains"), place = (name, otherwise) => { const at = maps.findIndex(m => m.name === name); return at < 0 ? otherwise : at; };
    const shown = kind === "score" ? [place("gradient_norm", 0), place("gradient_x_input", Math.min(1, maps.length - 1))] : [0];
    for (const at of new Set(shown)) panels.push(panel(grid, maps, brain, state, at, draw));
  }

  /* Every view of the page that has maps of its kind. */
  function brain(parts) {
    const meshes = parts.hemispheres.map(meshOf), all = { meshes: meshes, outlines: meshes.map(outlineOf), regions: parts.regions, tested: parts.tested, level: parts.level, shifts: parts.shifts };
    d3.selectAll(".maps").each(function () {
      const maps = parts.maps.filter(m => m.kind === this.dataset.kind);
      if (maps.length) view(d3.select(this), this.dataset.kind, maps, all);
      else d3.select(this).attr("class", "missing").text(this.dataset.where);
    });
    if (parts.left_out > 0) d3.select(".maps").append("p").attr("class", "missing").text(parts.left_out + " more maps are in results.h5 alone: the page would be too large for a mailbox.");
  }

  function panel(grid, maps, brain, state, chosen, drawAll) {
    const meshes = brain.meshes, box = grid.append("div"), select = selector(box.append("div").attr("class", "controls"), "map", maps.map(m => m.label), i => { chosen = i; paint(); });
    select.property("value", chosen);
    const canvas = document.createElement("canvas"), scene = new THREE.Scene(), camera = new THREE.OrthographicCamera(-1, 1, 1, -1, .1, 2000), turned = [];
    const printed = box.append("p").attr("class", "printed"); // on paper there is nothing to choose
    let inSight = false;
    camera.position.z = 1000;
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", "brain: arrow keys turn it, + and - zoom");
    box.node().appendChild(canvas);
    const legend = box.append("div").attr("class", "legend"), low = legend.append("span"), bar = legend.append("i"), high = legend.append("span");
    const shown = box.append("div").attr("class", "shown");
    const readout = box.append("div").attr("class", "readout").attr("aria-live", "polite").text("Point at the brain to read a value.");
    scene.add(new THREE.AmbientLight(0xffffff, .62));
    const light = new THREE.DirectionalLight(0xffffff, .5);
    light.position.set(.3, .6, 1);
    scene.add(light);
    meshes.forEach((mesh, h) => {
      const geometry = mesh.geometry.clone(), group = new THREE.Group();
      const body = new THREE.Mesh(geometry, new THREE.MeshLambertMaterial({ vertexColors: THREE.VertexColors }));
      body.userData = h;
      group.add(body, new THREE.LineSegments(brain.outlines[h], new THREE.LineBasicMaterial({ color: 0x111111 })));
      group.position.x = meshes.length < 2 ? 0 : mesh.side === "left" ? -112 : 112;
      scene.add(group);
      turned.push(group);
    });

    /* What is shown of a map of scores or differences, and why. */
    function sayShown(map, passing, finite) {
      const of = map.kind === "score" ? brain.tested : "difference", rate = "q < " + brain.level + ": " + of + " against " + brain.shifts + " shifts of the story, false discoveries among the vertices of this map";
      if (map.kind !== "score" && map.kind !== "difference") return "";
      if (!map.passes) return "All vertices, noise as well: there is no null of this map (null: {shifts: N}).";
      if (state.passing && passing === 0) return "None of the " + finite + " vertices has " + rate + ". The switch \u201conly q < " + brain.level + "\u201d shows all of them, noise as well.";
      return (state.passing ? "Only the " + passing + " of " + finite + " vertices with " : "All vertices, noise as well; " + passing + " of " + finite + " have ") + rate + ".";
    }

    function paint() {
      const map = maps[chosen];
      map.numbers = map.numbers || map.values.map(halves);
      if (map.passes) map.bits = map.bits || map.passes.map(text => new Uint8Array(bytes(text)));
      let coloured = 0, passing = 0, finite = 0;
      turned.forEach((group, h) => {
        const colour = group.children[0].geometry.attributes.color;
        map.numbers[h].forEach((value, v) => {
          const passes = !map.bits || map.bits[h][v] > 0, hidden = state.passing && !passes && isFinite(value);
          const c = !hidden && state.kind.colour(map, value, state) || PAPER;
          if (isFinite(value)) { finite++; passing += passes; }
          if (c !== PAPER && isFinite(value)) coloured++;
          colour.setXYZ(v, c[0], c[1], c[2]);
        });
        colour.needsUpdate = true;
      });
      canvas.dataset.coloured = coloured;
      canvas.dataset.map = map.label;
      printed.text(map.label);
      shown.text(sayShown(map, passing, finite));
      const [from, to] = state.kind.legend(map, state);
      bar.attr("class", map.kind);
      low.text(from);
      high.text(to);
      draw();
    }

    function draw() {
      if (!inSight) return;
      const renderer = sharedRenderer();
      if (!renderer) return readout.text("This browser draws no WebGL: the brain cannot be shown here; maps/ has the same maps.");
      const width = Math.max(200, box.node().clientWidth), height = Math.round(width * .5), half = (meshes.length < 2 ? 115 : 222) / state.near;
      renderer.setPixelRatio(Math.min(2, window.devicePixelRatio || 1));
      renderer.setSize(width, height, false);
      canvas.style.aspectRatio = width + " / " + height;
      canvas.width = renderer.domElement.width;
      canvas.height = renderer.domElement.height;
      Object.assign(camera, { left: -half, right: half, top: half * height / width, bottom: -half * height / width });
      camera.updateProjectionMatrix();
      turned.forEach((group, h) => {
        group.rotation.set(state.pitch, meshes[h].side === "left" ? state.yaw : -state.yaw, 0);
        group.children[1].visible = state.outline;
      });
      renderer.render(scene, camera);
      canvas.getContext("2d").drawImage(renderer.domElement, 0, 0);
    }

    function read(event) {
      const frame = canvas.getBoundingClientRect(), caster = new THREE.Raycaster();
      caster.setFromCamera(new THREE.Vector2((event.clientX - frame.left) / frame.width * 2 - 1, 1 - (event.clientY - frame.top) / frame.height * 2), camera);
      const hit = caster.intersectObjects(turned.map(g => g.children[0]))[0];
      if (!hit) return readout.text("Point at the brain to read a value.");
      const h = hit.object.userData, at = hit.object.geometry.attributes.position, p = hit.object.worldToLocal(hit.point.clone());
      const near = [hit.face.a, hit.face.b, hit.face.c].sort((a, b) => p.distanceTo(new THREE.Vector3().fromBufferAttribute(at, a)) - p.distanceTo(new THREE.Vector3().fromBufferAttribute(at, b)))[0];
      const label = meshes[h].labels[near];
      readout.text(meshes[h].side + " vertex " + near + (label ? ", " + brain.regions[label - 1] : "") + ": " + state.kind.say(maps[chosen], maps[chosen].numbers[h][near]) + (maps[chosen].bits && maps[chosen].bits[h][near] ? " (q < " + brain.level + ")" : ""));
    }

    let held = null;
    canvas.addEventListener("pointerdown", e => { held = [e.clientX, e.clientY]; canvas.setPointerCapture(e.pointerId); });
    canvas.addEventListener("pointerup", () => { held = null; });
    canvas.addEventListener("pointermove", e => {
      if (!held) return read(e);
      state.yaw += (e.clientX - held[0]) / 120;
      state.pitch = Math.max(-Math.PI / 2, Math.min(Math.PI / 2, state.pitch + (e.clientY - held[1]) / 120));
      held = [e.clientX, e.clientY];
      drawAll();
    });
    canvas.addEventListener("wheel", e => { if (document.activeElement === canvas) { e.preventDefault(); zoom(Math.exp(-e.deltaY / 500)); } }, { passive: false });
    const zoom = by => { state.near = Math.max(.5, Math.min(8, state.near * by)); drawAll(); };
    canvas.addEventListener("keydown", e => {
      const turn = { ArrowLeft: [-.15, 0], ArrowRight: [.15, 0], ArrowUp: [0, -.15], ArrowDown: [0, .15] }[e.key];
      if (turn) { state.yaw += turn[0]; state.pitch = Math.max(-Math.PI / 2, Math.min(Math.PI / 2, state.pitch + turn[1])); drawAll(); }
      else if (e.key === "+" || e.key === "=") zoom(1.2);
      else if (e.key === "-") zoom(1 / 1.2);
      else return;
      e.preventDefault();
    });
    window.addEventListener("resize", draw);
    whenInSight(canvas, () => { inSight = true; draw(); });
    paint();
    return { paint: paint, draw: draw };
  }

  /* ---- the words -------------------------------------------------------------------------------------------------------------- */

  function words(parts) {
    const root = d3.select("#words-view"), controls = root.append("div").attr("class", "controls");
    let story = parts.stories[0], space = 0, chosen = 0;
    if (parts.stories.length > 1) selector(controls, "story", parts.stories.map(s => s.name), i => { story = parts.stories[i]; space = 0; fill(); });
    const methods = selector(controls, "coloured by", [], i => { space = i; colour(); });
    const strip = root.append("div").attr("class", "strip").attr("tabindex", 0).attr("role", "listbox").attr("aria-label", "the words; arrow keys choose one");
    const about = root.append("p").attr("class", "readout").attr("aria-live", "polite"), explained = root.append("div").attr("class", "explained");
    if (parts.left_out > 0) root.append("p").attr("class", "missing").text(parts.left_out + " more stories are not in the page: it would be too large for a mailbox. features.h5 has them.");

    function fill() {
      for (const s of story.spaces) s.numbers = s.numbers || halves(s.values);
      methods.selectAll("option").remove();
      methods.selectAll("option").data(story.spaces).enter().append("option").attr("value", (d, i) => i).text(s => s.model + "/" + s.name);
      strip.selectAll("span").remove();
      const nodes = document.createDocumentFragment();
      story.words.forEach((word, i) => {
        const span = document.createElement("span");
        span.textContent = word;
        span.dataset.word = i;
        nodes.append(span, " ");
      });
      strip.node().replaceChildren(nodes);
      chosen = Math.min(story.words.length - 1, d3.max(story.spaces, s => s.columns) + 2);
      colour();
    }

    /* Column j of K belongs to the word K - j places before. */
    function row(s) {
      return d3.range(s.columns).map(j => ({ word: chosen - s.columns + j, value: s.numbers[chosen * s.columns + j] })).filter(d => d.word >= 0);
    }

    function colour() {
      const values = story.spaces.length ? row(story.spaces[space]) : [], most = d3.max(values, d => Math.abs(d.value)) || 1;
      const spans = strip.node().querySelectorAll("span");
      strip.selectAll(".explains").classed("explains", false).classed("strong", false).style("background-color", null).attr("title", null);
      strip.selectAll(".chosen").classed("chosen", false).attr("aria-selected", null);
      for (const d of values) {
        const share = d.value / most;
        d3.select(spans[d.word]).classed("explains", true).attr("title", d3.format(".4g")(d.value))
          .classed("strong", Math.abs(share) > .5).style("background-color", (share < 0 ? "rgba(103,169,207," : "rgba(241,163,64,") + Math.abs(share) + ")");
      }
      d3.select(spans[chosen]).classed("chosen", true).attr("aria-selected", true);
      about.text("Word " + (chosen + 1) + " of " + story.words.length + ", “" + story.words[chosen] + "”, heard at " + d3.format(".2f")(story.onsets[chosen]) + " s: what explained the prediction of it.");
      explained.selectAll("*").remove();
      story.spaces.forEach(bars);
    }

    function bars(s) {
      const values = row(s), most = d3.max(values, d => Math.abs(d.value)) || 1, high = 15, box = explained.append("div").attr("data-space", s.model + "/" + s.name);
      const signed = values.some(d => d.value < 0), x = d3.scaleLinear().domain([signed ? -most : 0, most]).range([90, 250]);
      box.append("h4").text(s.model + "/" + s.name);
      const svg = box.append("svg").attr("viewBox", "0 0 300 " + (high * values.length + 4)).attr("role", "img").attr("aria-label", "attribution of each preceding word");
      const line = svg.selectAll("g").data(values).enter().append("g").attr("transform", (d, i) => "translate(0," + high * i + ")");
      line.append("text").attr("x", 86).attr("y", 11).attr("text-anchor", "end").text(d => story.words[d.word].slice(0, 14));
      line.append("rect").attr("class", d => d.value < 0 ? "negative" : "positive").attr("data-value", d => d.value).attr("y", 2).attr("height", high - 3)
        .attr("x", d => Math.min(x(0), x(d.value))).attr("width", d => Math.abs(x(d.value) - x(0)));
      line.append("text").attr("x", 298).attr("y", 11).attr("text-anchor", "end").text(d => d3.format(".3g")(d.value));
    }

    function choose(word, scroll) {
      chosen = Math.max(0, Math.min(story.words.length - 1, word));
      colour();
      const box = strip.node(), span = box.querySelectorAll("span")[chosen];
      if (scroll && (span.offsetTop < box.scrollTop || span.offsetTop + span.offsetHeight > box.scrollTop + box.clientHeight)) box.scrollTop = span.offsetTop - box.clientHeight / 2;
    }
    strip.node().addEventListener("click", e => { if (e.target.dataset.word !== undefined) choose(+e.target.dataset.word, false); });
    strip.node().addEventListener("keydown", e => {
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -10, ArrowDown: 10 }[e.key];
      if (step === undefined) return;
      e.preventDefault();
      choose(chosen + step, true);
    });
    fill();
  }

  const brainData = data("brain"), wordData = data("words");
  if (brainData) brain(brainData);
  if (wordData) words(wordData);
  document.documentElement.dataset.ready = "yes";
  document.documentElement.dataset.milliseconds = Math.round(performance.now()); // from the start of loading to here
})();
