/** No queue's thread is forgotten, nor told to a firewall that is not there, whatever the order in which both start. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageChannel } from "node:worker_threads";
import type { QueueLink } from "../datapath/pool.ts";
import { EarlyLinks } from "./early-links.ts";

test("threads that are there before the firewall serves wait for it, and later ones go to it", (t) => {
  const made: QueueLink[] = [1, 2, 3].map((wake) => {
    const { port1, port2 } = new MessageChannel();
    t.after(() => port1.close());
    return { port: port2, wake };
  });
  const [first, second, late] = made as [QueueLink, QueueLink, QueueLink];
  const told: QueueLink[] = [];
  const links = new EarlyLinks((link) => void told.push(link));
  links.add(first);
  links.add(second);
  assert.deepEqual(links.serving(), [first, second]);
  assert.deepEqual(told, []);
  links.add(late);
  assert.deepEqual(told, [late]);
});
