// Enlarges gallery images: click or Enter opens, arrow keys walk along the row, Escape closes.
"use strict";
(() => {
  const dialog = document.getElementById("zoom");
  if (!dialog) return;
  const image = dialog.querySelector("img");
  const title = dialog.querySelector("figcaption b");
  const label = dialog.querySelector("figcaption span");
  let row = [];
  let at = 0;
  const show = (index) => {
    at = (index + row.length) % row.length;
    const shot = row[at];
    const small = shot.querySelector("img");
    image.src = small.src;
    image.alt = small.alt;
    image.className = small.className;
    title.textContent = shot.dataset.caption;
    label.textContent = shot.dataset.label;
  };
  document.querySelectorAll(".shot").forEach((shot) => {
    shot.addEventListener("click", () => {
      row = [...shot.closest(".strip").querySelectorAll(".shot")];
      show(row.indexOf(shot));
      dialog.showModal();
    });
  });
  dialog.querySelectorAll(".step").forEach((step) => {
    step.addEventListener("click", () => show(at + Number(step.dataset.step)));
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") show(at + 1);
    if (event.key === "ArrowLeft") show(at - 1);
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
})();
