/**
 * The near end of new connections, for as long as its standard input is open: a line of JSON for each load ({@link Order}), a line of
 * JSON for what came of it (`Load` of outcome.ts). One process for all loads, so that none pays for its start. The line `release`
 * ends what the last load left open. It listens to its link only during a load: whatever else is measured there is not copied to it.
 * `node connect.ts`
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Generator } from "./generator.ts";
import { Link } from "./packets.ts";
import type { Order } from "./outcome.ts";
import { askFromAll } from "./questions.ts";

let holding: { generator: Generator; link: Link } | null = null;

for await (const line of createInterface({ input: process.stdin })) {
  if (line === "release") {
    holding?.generator.release();
    holding?.link.close();
    holding = null;
    console.log("{}");
    continue;
  }
  const order = JSON.parse(line) as Order;
  const link = new Link(order.device, order.neighbour, 20);
  askFromAll(link, order);
  const generator = new Generator(order, link, readFileSync(order.hello));
  console.log(JSON.stringify(generator.carryOut()));
  if (order.hold === true) holding = { generator, link };
  else link.close();
}
