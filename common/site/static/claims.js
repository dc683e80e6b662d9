// Filters the table of claims; without it the table shows all of them.
"use strict";
(() => {
  const form = document.getElementById("filters");
  const rows = [...document.querySelectorAll("#table tbody tr")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const chosen = ["outcome", "kind", "study", "standing"];
  const show = () => {
    const text = form.elements.text.value.toLowerCase().trim();
    let count = 0;
    rows.forEach((row, place) => {
      const fits = chosen.every((name) => !form.elements[name].value || row.dataset[name] === form.elements[name].value);
      row.hidden = !(fits && texts[place].includes(text));
      count += row.hidden ? 0 : 1;
    });
    form.querySelector("output").value = `${count} of ${rows.length}`;
  };
  form.hidden = false;
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(show));
  document.querySelectorAll("a[data-outcome]").forEach((link) =>
    link.addEventListener("click", () => {
      form.reset();
      form.elements.outcome.value = link.dataset.outcome;
      form.elements.kind.value = link.dataset.kind;
      setTimeout(show);
    }),
  );
  show();
})();
