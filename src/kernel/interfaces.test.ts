/** Promises about interfaces: what `ip` knows is read as values, and a wrong name is met with the right one. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { formatAddress } from "../address/ip.ts";
import { SallyportError } from "../errors.ts";
import { interfaces, requireInterfaces, routes } from "./interfaces.ts";
import { addresses, withLab } from "./testing/lab.ts";

suite("interfaces", { timeout: 20_000 }, () => {
  test("addresses and routes of a namespace, both families", () =>
    withLab(async (lab) => {
      lab.inGateway(() => {
        const found = interfaces().find((each) => each.name === "in0")!;
        assert.equal(found.up, true);
        const texts = found.addresses.map(({ address, bits }) => `${formatAddress(address)}/${bits}`);
        assert.ok(texts.includes(`${addresses[4].gateway}/24`));
        assert.ok(texts.includes(`${addresses[6].gateway}/64`));
        assert.ok(routes().some((r) => r.family === 4 && r.destination === "192.0.2.0/24" && r.device === "in0"));
        assert.ok(routes().some((r) => r.family === 6 && r.destination === "2001:db8:1::/64" && r.device === "in0"));
        requireInterfaces(["in0", "out0"]);
        assert.throws(
          () => requireInterfaces(["in0", "on0"]),
          (error) => {
            assert.ok(error instanceof SallyportError);
            assert.equal(error.code, "UNKNOWN_INTERFACE");
            assert.equal((error.data["nearest"] as string[])[0], "in0");
            return true;
          },
        );
      });
    }));
});
