"use strict";
// A picture's divider follows its slider.
for (const slider of document.querySelectorAll(".stage input")) {
  const follow = () => slider.parentElement.style.setProperty("--cut", `${slider.value}%`);
  slider.addEventListener("input", follow);
  addEventListener("pageshow", follow); // who comes back finds the slider where it stood
}

// The classes' table sorts by the column whose heading is pressed: names by class order, figures largest first; pressed again,
// reversed. A row without the figure stays last.
const classes = document.querySelector("#classes");
const headings = [...classes.querySelectorAll("thead th")];
for (const [column, heading] of headings.entries()) {
  heading.firstElementChild.addEventListener("click", () => {
    const [first, second] = column ? ["descending", "ascending"] : ["ascending", "descending"];
    const order = heading.ariaSort === first ? second : first;
    for (const other of headings) other.removeAttribute("aria-sort");
    heading.ariaSort = order;
    const sign = order === "ascending" ? 1 : -1;
    const figure = (row) => parseFloat(row.cells[column].dataset.figure);
    const compare = (a, b) => isNaN(a) - isNaN(b) || sign * (a - b) || 0;
    const body = classes.tBodies[0];
    body.append(...[...body.rows].sort((a, b) => compare(figure(a), figure(b))));
  });
}
