// The microphone, as packets of 16 kHz PCM16.

import { Problem } from "./problem.js";

const RATE_HZ = 16_000;

// The browser's processing is made for calls. Its gain control hides how loud the person is, which the service
// measures before its own level stage (and without which "too quiet" could not be told); its noise suppression
// removes consonants that the model, trained with noise, would hear; its echo canceller has no echo to cancel, for
// this page plays nothing, and puts headsets and phones into a mode that cuts the upper half of the spectrum.
const CONSTRAINTS = {
  audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
};

/** @type {Record<string, import("./problem.js").Kind>} the errors of getUserMedia */
const REFUSALS = {
  NotAllowedError: "refused",
  SecurityError: "refused",
  NotFoundError: "absent",
  OverconstrainedError: "absent",
  NotReadableError: "in_use",
  AbortError: "in_use",
};

/**
 * @typedef {object} Packet
 * @property {ArrayBuffer} pcm samples, PCM16
 * @property {number} levelDbfs their level; 0 is a full-scale square wave
 *
 * @typedef {object} Microphone
 * @property {() => Promise<void>} stop gives what was heard up to now to `onPacket`, and closes
 * @property {() => void} close at once
 */

/**
 * Ask for the microphone and open it. Throws a Problem where there is none to be had.
 * @param {(packet: Packet) => void} onPacket
 * @param {(problem: Problem) => void} onProblem it was unplugged, or taken away
 * @returns {Promise<Microphone>}
 */
export async function openMicrophone(onPacket, onProblem) {
  if (!isSecureContext) throw new Problem("insecure");
  if (!navigator.mediaDevices || !("AudioWorkletNode" in globalThis)) throw new Problem("unsupported");
  const media = await navigator.mediaDevices.getUserMedia(CONSTRAINTS).catch((error) => {
    throw new Problem(REFUSALS[error.name] ?? "failed");
  });
  const source = sourceOf(media);
  const context = source.context;
  /** @type {() => void} */
  let ended = () => {};
  const close = () => {
    media.getTracks().forEach((track) => track.stop());
    if (context.state !== "closed") void /** @type {AudioContext} */ (context).close();
    ended();
  };
  try {
    await context.audioWorklet.addModule("/static/capture-worklet.js");
    const capture = new AudioWorkletNode(context, "capture");
    capture.port.onmessage = ({ data }) => (data === null ? close() : onPacket(data));
    // It plays nothing; but some browsers run only what leads to the loudspeaker.
    source.connect(capture).connect(context.destination);
    media.getAudioTracks()[0].onended = () => onProblem(new Problem("unplugged"));
    await /** @type {AudioContext} */ (context).resume();
    const stop = () =>
      new Promise((/** @type {(value: void) => void} */ resolve) => {
        if (context.state === "closed") return resolve();
        ended = resolve;
        capture.port.postMessage("stop");
      });
    return { stop, close };
  } catch (error) {
    close();
    throw error;
  }
}

/**
 * The browser's own resampling where it has one; elsewhere (Firefox) the worklet's.
 * @param {MediaStream} media
 */
function sourceOf(media) {
  const context = new AudioContext({ sampleRate: RATE_HZ });
  try {
    return context.createMediaStreamSource(media);
  } catch {
    void context.close();
    return new AudioContext().createMediaStreamSource(media);
  }
}
