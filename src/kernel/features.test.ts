/** Promises of the check before the start: a host that cannot enforce is told why, and checking leaves nothing behind. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { SallyportError } from "../errors.ts";
import { checkCapabilities, checkHost, checkKernel } from "./features.ts";
import { listNamespaces, namespacePrefix } from "./namespace.ts";

suite("the host check", { timeout: 30_000 }, () => {
  test("this host passes, and is left as it was", () => {
    checkHost();
    checkKernel();
    assert.deepEqual(listNamespaces(`${namespacePrefix}check-${process.pid}`), []);
  });

  test("each missing capability is named", () => {
    const status = (mask: string) => `Name:\tnode\nCapEff:\t${mask}\nCapBnd:\t000001ffffffffff\n`;
    checkCapabilities(status("0000000000203000"));
    const cases = { "0000000000201000": ["CAP_NET_RAW"], "0000000000002000": ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"] };
    for (const [mask, names] of Object.entries(cases)) {
      assert.throws(
        () => checkCapabilities(status(mask)),
        (error) => {
          assert.ok(error instanceof SallyportError);
          assert.equal(error.code, "MISSING_CAPABILITY");
          assert.deepEqual(error.data["names"], names);
          return true;
        },
      );
    }
    // A status without the line is no permission.
    assert.throws(() => checkCapabilities("Name:\tnode\n"));
  });
});
