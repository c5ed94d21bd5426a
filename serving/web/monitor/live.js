// Asks again and again: not while the tab is hidden, and more and more rarely while there is no answer.

const EVERY_MS = 10_000;
const SLOWEST_MS = 120_000;

/**
 * @param {() => Promise<void>} job
 * @param {(error: unknown, againInMs: number) => void} failed
 */
export function createLive(job, failed) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let running = false;
  let again = false;
  let paused = false;
  let failures = 0;

  async function run() {
    clearTimeout(timer);
    again = running; // what is wanted may have changed since it was asked for
    if (running) return;
    running = true;
    try {
      await job();
      failures = 0;
    } catch (error) {
      failures++;
      failed(error, wait());
    } finally {
      running = false;
      if (again) void run();
      else plan();
    }
  }

  const wait = () => Math.min(EVERY_MS * 2 ** failures, SLOWEST_MS);

  function plan() {
    clearTimeout(timer);
    if (!paused && !document.hidden) timer = setTimeout(run, wait());
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else if (!paused) void run();
  });

  return {
    /** Ask now. */
    run,
    /** @param {boolean} whether */
    pause(whether) {
      paused = whether;
      if (whether) clearTimeout(timer);
      else void run();
    },
  };
}
