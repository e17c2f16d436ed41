// The filters of the table of examples, which jaxvision/report/examples.py
// writes.
"use strict";

for (const form of document.querySelectorAll("form.filters")) {
  const rows = [...document.querySelectorAll("[data-example]")];
  const value = (name) => form.elements[name].value;
  const passes = ({ dataset }) => {
    const confidence = 100 * Number(dataset.confidence);
    return (value("class") === "" || dataset.true === value("class") ||
        dataset.predicted === value("class")) &&
      (value("result") === "" || dataset.result === value("result")) &&
      (value("reason") === "" || dataset.reason === value("reason")) &&
      confidence >= Number(value("from")) && confidence <= Number(value("to"));
  };
  const apply = () => {
    for (const row of rows) row.hidden = !passes(row);
    const shown = rows.filter((row) => !row.hidden).length;
    form.querySelector("output").textContent =
      `${shown} of ${rows.length} examples`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  // A reset changes the fields after its event.
  form.addEventListener("reset", () => setTimeout(apply));
  form.reset();
}
