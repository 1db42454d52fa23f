// Every key presses a button of the page, so that a key can do nothing that a click can't.
(() => {
  const BUTTONS = { k: "keep", d: "delete", r: "suggested", u: "undo", ArrowRight: "next", ArrowLeft: "previous" };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, [contenteditable=true], [role=listbox]");
    if (typing || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const button = document.getElementById(/^[1-9]$/.test(key) ? `label-${key}` : BUTTONS[key]);
    if (button === null) return;
    event.preventDefault();
    button.click();
  });
})();
