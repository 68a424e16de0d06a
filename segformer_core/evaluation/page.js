const result = JSON.parse(document.getElementById("result").textContent);

// The confusion matrix is one stop of the Tab key; arrows walk its cells, and a cell that is pointed at, tapped or reached tells
// its counts.
const confusion = document.querySelector("#confusion");
const told = document.querySelector("output");
const shown = [...result.classes.keys()].filter((index) => result.classes[index].iou !== null);
const cells = [...confusion.tBodies[0].rows].map((row) => [...row.querySelectorAll("td")]);

function tell(cell) {
  const truth = shown[cell.parentElement.sectionRowIndex], predicted = shown[cell.cellIndex - 1];
  const count = result.confusion_matrix[truth][predicted], whole = result.classes[truth].truth_pixels;
  const share = whole ? `${(100 * count / whole).toFixed(2)}% of the class, ` : "";
  const [from, to] = [truth, predicted].map((index) => result.classes[index].name);
  told.textContent = `${from} predicted as ${to}: ${share}${count.toLocaleString("en")} pixels`;
}

function enter(cell) {
  for (const other of confusion.querySelectorAll("td[tabindex='0']")) other.tabIndex = -1;
  cell.tabIndex = 0;
  tell(cell);
  // Out from under the headings and the sentence; under a finger it stays where it is.
  if (cell.matches(":focus-visible")) cell.scrollIntoView({ block: "nearest", inline: "nearest" });
}

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
if (cells.length) {
  confusion.setAttribute("role", "grid");
  told.textContent = "Point at a cell, tap it or walk there with the arrow keys for its counts.";
  for (const cell of cells.flat()) cell.tabIndex = -1;
  cells[0][0].tabIndex = 0;
}
confusion.addEventListener("focusin", (event) => event.target.matches("td") && enter(event.target));
confusion.addEventListener("pointerover", (event) => event.target.matches("td") && tell(event.target));
confusion.addEventListener("keydown", (event) => {
  const step = STEPS[event.key];
  if (!step || !event.target.matches("td")) return;
  event.preventDefault(); // of scrolling
  const row = event.target.parentElement.sectionRowIndex + step[0], column = event.target.cellIndex - 1 + step[1];
  cells[row]?.[column]?.focus();
});
