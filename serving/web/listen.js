// One utterance, from the opened microphone to the answer. It ends exactly once: answered, failed or cancelled.

import { openMicrophone } from "./audio.js";
import { asProblem } from "./problem.js";
import { openStream } from "./stream.js";

const SILENCE_MS = 7_000; // without any speech: nobody is talking to us
const TAIL_MS = 200; // people let go of the button while the last sound is still on its way

/**
 * @typedef {Omit<import("./stream.js").Listener, "started"> & {
 *   open: () => void, level: (levelDbfs: number) => void, closed: () => void
 * }} Listener
 * `open`: the microphone hears; `closed`: it no longer does. Both only once, and the second always after the first.
 */

/**
 * @param {Listener} on
 * @returns {{stop: () => void, cancel: () => void}} stop: that was all, answer; cancel: forget it
 */
export function listen(on) {
  /** @type {import("./audio.js").Microphone | null} */
  let microphone = null;
  /** @type {ReturnType<typeof openStream> | null} */
  let stream = null;
  let [over, stopping, heard] = [false, false, false];
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;

  const cancel = () => {
    over = true;
    clearTimeout(timer);
    microphone?.close();
    stream?.close();
  };
  /** @param {unknown} error */
  const fail = (error) => {
    if (over) return;
    cancel();
    on.failed(asProblem(error));
  };
  const silence = () => {
    microphone?.close();
    on.closed();
  };
  /** @param {number} tailMs */
  const stopAfter = (tailMs) => {
    if (over || stopping || stream === null) return;
    stopping = true;
    clearTimeout(timer);
    timer = setTimeout(async () => {
      await microphone?.stop();
      if (over) return;
      stream?.end();
      on.closed();
    }, tailMs);
  };

  /** @param {import("./audio.js").Packet} packet */
  const onPacket = ({ pcm, levelDbfs }) => {
    if (over) return;
    if (stream === null) {
      // Only now: a server's slot is not for waiting until somebody has found the permission.
      stream = openStream({
        started: () => {
          heard = true;
        },
        partial: on.partial,
        stopped: () => {
          if (!stopping) silence();
          on.stopped();
        },
        answered: (answer) => {
          cancel();
          on.answered(answer);
        },
        failed: fail,
      });
      timer = setTimeout(() => !heard && stopAfter(0), SILENCE_MS);
      on.open();
    }
    stream.send(pcm);
    on.level(levelDbfs);
  };

  openMicrophone(onPacket, fail).then((opened) => {
    microphone = opened;
    if (over) opened.close();
  }, fail);
  return { stop: () => stopAfter(TAIL_MS), cancel };
}
