// Runs in the audio thread: what the microphone hears, as packets of 16 kHz PCM16 with their level.
//
// Any message to it means "that is all": it sends what it still holds, then null, and stops.

import { Resampler } from "./resample.js";

const RATE_HZ = 16_000; // what the service takes
const PACKET = 512; // samples, 32 ms: short beside a partial's 400 ms, and about 30 messages a second

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE_HZ);
    this.packet = new Int16Array(PACKET); // little-endian, as every machine that runs a browser is
    this.filled = 0;
    this.energy = 0;
    this.open = true;
    this.port.onmessage = () => this.finish();
  }

  /** @param {Float32Array[][]} inputs */
  process([channels]) {
    if (!this.open) return false;
    if (channels.length > 0) this.resampler.push(mono(channels)).forEach((sample) => this.take(sample));
    return true;
  }

  /** @param {number} sample */
  take(sample) {
    this.packet[this.filled++] = Math.round(Math.max(-1, Math.min(sample, 32_767 / 32_768)) * 32_768);
    this.energy += sample * sample;
    if (this.filled === PACKET) this.post();
  }

  post() {
    const pcm = this.packet.slice(0, this.filled).buffer;
    // 0 dBFS is the level of a full-scale square wave; digital silence is put at -100.
    const levelDbfs = 10 * Math.log10(this.energy / this.filled + 1e-10);
    this.port.postMessage({ pcm, levelDbfs }, [pcm]);
    this.filled = this.energy = 0;
  }

  finish() {
    if (!this.open) return;
    this.open = false;
    if (this.filled > 0) this.post();
    this.port.postMessage(null);
  }
}

/** @param {Float32Array[]} channels */
function mono(channels) {
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, at) => channels.reduce((sum, channel) => sum + channel[at], 0) / channels.length);
}

registerProcessor("capture", Capture);
