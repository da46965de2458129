// Small repairs of the theme, for those who use the keyboard or a screen reader.
document.addEventListener("DOMContentLoaded", () => {
  // What scrolls inside itself must be reachable without a mouse.
  const reach = () => {
    for (const box of document.querySelectorAll(".bd-article pre, .bd-article div.math, .pst-scrollable-table-container")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  reach();
  addEventListener("load", reach);
  addEventListener("resize", reach);
});
