/**
 * Waits on descriptors inside a worker thread: one blocking poll(2), no event loop. Any thread can end the wait through
 * an eventfd. Called by the data path's workers and by the flow recorder.
 */
import { writeSync } from "node:fs";
import * as libc from "./libc.ts";

const POLLFD = 8;
const ONE = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);

/** Ends the current or next {@link Waiter.wait} of the Waiter behind `wakeDescriptor`. Callable from any thread. */
export function wake(wakeDescriptor: number): void {
  try {
    writeSync(wakeDescriptor, ONE);
  } catch (error) {
    // The counter is at its maximum: the waiter is about to wake anyway.
    if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
  }
}

/** A fixed set of descriptors to wait on. */
export class Waiter {
  /** The eventfd's number, to be handed to other threads for {@link wake}. */
  readonly wakeDescriptor: number;
  /** Whether the last wait was ended by {@link wake}. */
  woken = false;
  readonly #set: Buffer;
  readonly #count: number;
  readonly #drain = Buffer.alloc(8);
  #closed = false;

  constructor(descriptors: readonly number[]) {
    this.wakeDescriptor = libc.eventfd();
    this.#count = descriptors.length + 1;
    this.#set = Buffer.alloc(this.#count * POLLFD);
    [this.wakeDescriptor, ...descriptors].forEach((fd, i) => {
      this.#set.writeInt32LE(fd, i * POLLFD);
      this.#set.writeUInt16LE(libc.POLLIN, i * POLLFD + 4);
    });
  }

  /**
   * Blocks this thread until a descriptor is readable or in error, {@link wake} is called, a signal arrives, or
   * `timeout` milliseconds pass (negative: for ever). Returns how many descriptors are ready, not counting the wake.
   */
  wait(timeout: number): number {
    const ready = libc.poll(this.#set, this.#count, timeout);
    this.woken = false;
    if (ready < 0) {
      this.#clear();
      if (ready === -libc.EINTR) return 0;
      throw new libc.KernelError("poll", -ready);
    }
    if (this.#set.readUInt16LE(6) === 0) return ready;
    libc.read(this.wakeDescriptor, this.#drain);
    this.woken = true;
    return ready - 1;
  }

  /** Whether descriptor number `i` of the constructor's list is readable or in error after the last wait. */
  ready(i: number): boolean {
    return this.#set.readUInt16LE((i + 1) * POLLFD + 6) !== 0;
  }

  /** Releases the eventfd. The descriptors waited on stay their owners'. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    libc.close(this.wakeDescriptor);
  }

  /** After an interrupted poll the result fields keep their old values. */
  #clear(): void {
    for (let i = 0; i < this.#count; i++) this.#set.writeUInt16LE(0, i * POLLFD + 6);
  }
}
