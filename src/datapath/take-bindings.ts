/** Bindings from whoever hands addresses out, into a thread's address book: in force when the word goes back. */
import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import type { AddressBook } from "../flow/book.ts";
import type { ToBook } from "./messages.ts";

export function takeBindings(names: MessagePort, book: AddressBook): void {
  for (let received; (received = receiveMessageOnPort(names)) !== undefined;) {
    const { sequence, bindings } = received.message as ToBook;
    for (const binding of bindings) book.bind(binding);
    names.postMessage(sequence);
  }
}
