#!/usr/bin/env bash
# Protects: the page in a real browser, opened as a file: nothing on the console, every figure with its marks, sliders that change the map, a
# click on a word that shows what explained it, text of users that never runs. Skipped where chromium is not installed (jobs/packages.sh checks).
set -u
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || { echo "skipped: chromium is not here (jobs/packages.sh --install checks)"; exit 77; }
folder=$(mktemp -d) && trap 'rm -rf -- "$folder"' EXIT
faults=0
fault() {
    echo "FAULT: $*"
    faults=$((faults + 1))
}

# open PAGE OPTIONS...: loads it and lets its clock run four seconds; what the browser logs goes to $folder/log.
open_page() {
    local page=$1
    shift
    timeout -k 5 120 "$browser" --headless=new --no-sandbox --disable-dev-shm-usage --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader \
        --user-data-dir="$folder/profile" --no-first-run --virtual-time-budget=4000 --enable-logging=stderr --hide-scrollbars "$@" "file://$page" 2>"$folder/log"
}

"$VG_BUILD/tests/report_test_page" "$folder" 6 || fault "no sample"
"$VG_PROGRAM" report -q --left "$folder/lh.sample" --right "$folder/rh.sample" "$folder" || fault "no report"
page=$folder/report/index.html
open_page "$page" --dump-dom >"$folder/dom"
if ! grep -q '<html' "$folder/dom"; then
    echo "skipped: $browser does not run here: $(tail -n 1 "$folder/log")"
    exit 77
fi
grep -q 'data-ready="yes"' "$folder/dom" || fault "the page's script did not come to its end"
! grep -q 'CONSOLE' "$folder/log" || fault "on the console: $(grep CONSOLE "$folder/log")"

# The same page with a script that looks at it, let in by its checksum alone.
cat >"$folder/check.js" <<'CHECK'
window.addEventListener("load", () => setTimeout(() => {
  const faults = [], expect = (what, found, wanted) => { if (found !== wanted) faults.push(what + ": " + found + ", " + wanted + " expected"); };
  const count = selector => document.querySelectorAll(selector).length;
  try {
    expect("dots of scores", count("#figure-scores .dot"), 48);
    expect("means of scores", count("#figure-scores .mean"), 16);
    expect("means of regions", count("#figure-regions .mean"), 24);
    expect("dots of models", count("#figure-models .dot"), 12);
    expect("cells of layers", count("#figure-layers .cell"), 18);
    expect("influence", count("#figure-influence .mean"), 3);
    expect("profile", count("#figure-profile .mean"), 30);
    expect("families", count("#figure-families rect[data-value]"), 9);
    expect("contrasts", count("#figure-contrasts .cell"), 6);
    expect("preferred layers", count("#figure-preferred .mean, #figure-preferred .unsure"), 3);
    expect("agreement of layers", count("#figure-correlation .mean"), 1);
    for (const kind of ["difference", "layer", "winner"]) {
      const view = document.querySelector(".maps[data-kind=" + kind + "] canvas");
      if (!view || !(+view.dataset.coloured > 0)) faults.push("no map of the kind " + kind);
    }
    expect("maps of preferred layers", document.querySelector(".maps[data-kind=layer] select").options.length, 4);
    expect("vertices that prefer a layer", +document.querySelector(".maps[data-kind=layer] canvas").dataset.coloured, 6);
    expect("brains", count(".maps[data-kind=score] canvas"), 2);
    expect("scripts that ran", typeof window.boom, "undefined");
    expect("images", count("img"), 0);

    const canvas = document.querySelector(".maps[data-kind=score] canvas"), slide = (name, value) => {
      const input = document.querySelector(".maps [data-of=" + name + "]");
      input.value = value;
      input.dispatchEvent(new Event("input"));
    };
    window.dispatchEvent(new Event("beforeprint")); // draws what is not in sight
    let before = canvas.toDataURL(), coloured = +canvas.dataset.coloured;
    const changed = what => { const now = canvas.toDataURL(); if (now === before) faults.push(what + " leaves the picture as it was"); before = now; };
    expect("vertices that pass the null", coloured, 8);
    expect("what is said of them", /^Only the 8 of 12 vertices with q < 0.05: score against 39 shifts/.test(document.querySelector(".maps[data-kind=score] .shown").textContent), true);
    document.querySelector(".maps[data-kind=score] .passing").click();
    changed("the null's switch");
    coloured = +canvas.dataset.coloured;
    expect("coloured vertices", coloured, 12);
    slide("threshold", 0.2);
    if (!(+canvas.dataset.coloured < coloured)) faults.push("the threshold hides nothing");
    changed("the threshold");
    slide("threshold", 0);
    slide("high", 0.15);
    changed("the range");
    canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft", bubbles: true }));
    changed("an arrow key");
    document.querySelector(".maps .outline").click();
    changed("the outlines' switch");
    const select = document.querySelector(".maps[data-kind=score] select"), map = canvas.dataset.map;
    select.value = select.options.length - 1;
    select.dispatchEvent(new Event("change"));
    if (canvas.dataset.map === map) faults.push("another map cannot be chosen");
    const frame = canvas.getBoundingClientRect(), readout = document.querySelector(".maps[data-kind=score] .readout");
    canvas.dispatchEvent(new PointerEvent("pointermove", { clientX: frame.left + frame.width * .27, clientY: frame.top + frame.height * .47 }));
    if (!/^(left|right) vertex \d/.test(readout.textContent)) faults.push("no value under the pointer: " + readout.textContent);

    const words = document.querySelectorAll(".strip span");
    expect("words", words.length, 60);
    expect("the seventh word", words[7].textContent, "<\/script><script>boom()<\/script>");
    words[12].click();
    expect("words that explain", count(".strip .explains"), 5);
    expect("chosen", document.querySelector(".strip .chosen").textContent, "word12");
    const bars = document.querySelectorAll(".explained > div:first-child rect");
    expect("bars", bars.length, 5);
    bars.forEach((bar, k) => { if (!(Math.abs(+bar.dataset.value - Math.sin(.3 * 12 + k)) < 1e-3)) faults.push("bar " + k + " is " + bar.dataset.value); });
    document.querySelector(".strip").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
    expect("after an arrow key", document.querySelector(".strip .chosen").textContent, "word13");
    const method = document.querySelector("#words-view select");
    expect("methods", method.options.length, 2);
    for (const part of document.querySelectorAll("canvas, .strip, select, input, button"))
      if (part.tabIndex < 0) faults.push("not reachable by the keyboard: " + part.tagName);
    if (document.documentElement.scrollWidth > window.innerWidth) faults.push("the page is wider than the window: " + document.documentElement.scrollWidth);
  } catch (fault) { faults.push(String(fault)); }
  document.documentElement.dataset.faults = faults.join(" | ") || "none";
}, 0));
CHECK
checksum=$(openssl dgst -sha256 -binary "$folder/check.js" | base64)
sed "s|script-src '|script-src 'sha256-$checksum' '|" "$page" >"$folder/report/checked.html"
{ printf '<script>' && cat "$folder/check.js" && printf '</script>'; } >>"$folder/report/checked.html"
for width in 1400 420; do
    open_page "$folder/report/checked.html" --window-size="$width,900" --dump-dom >"$folder/dom"
    found=$(grep -o 'data-faults="[^"]*"' "$folder/dom" | head -n 1)
    [ "$found" = 'data-faults="none"' ] || fault "$width px wide: ${found:-the check did not run: $(grep CONSOLE "$folder/log")}"
    ! grep -q 'CONSOLE' "$folder/log" || fault "$width px wide, on the console: $(grep CONSOLE "$folder/log")"
done

# The policy holds: a script without a checksum, a picture from elsewhere and a request are refused.
{ cat "$page" && printf '<script>document.documentElement.dataset.ran = "yes"</script><img src="http://127.0.0.1:9/x.png">'; } >"$folder/report/evil.html"
open_page "$folder/report/evil.html" --dump-dom >"$folder/dom"
! grep -q 'data-ran="yes"' "$folder/dom" || fault "a script that is not of the page has run"
grep -q 'Content Security Policy' "$folder/log" || fault "a picture from elsewhere was not refused"
echo "$faults faults"
[ "$faults" -eq 0 ]
