// One sound at a time; the line over the picture follows it.
let playing = null;
function stop() {
  if (!playing) return;
  playing.audio.pause();
  playing.button.classList.remove("playing");
  playing = null;
}
for (const button of document.querySelectorAll(".sound")) {
  button.addEventListener("click", () => {
    const again = playing && playing.button === button;
    stop();
    if (again) return;
    const audio = new Audio(button.dataset.sound);
    const head = button.querySelector(".head");
    playing = { audio, button };
    button.classList.add("playing");
    audio.addEventListener("ended", stop);
    audio.play().catch(stop);
    const follow = () => {
      if (!playing || playing.audio !== audio) return;
      if (audio.duration) head.style.left = `${(100 * audio.currentTime) / audio.duration}%`;
      requestAnimationFrame(follow);
    };
    follow();
  });
}
document.querySelector("#theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
