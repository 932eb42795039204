/** `sallyport logs keygen`: a key pair of the user's own, to sign the record with. */
import type { Command } from "commander";
import { makeKeyPair } from "../audit/key.ts";

export function addKeygenCommand(logs: Command): void {
  logs
    .command("keygen")
    .description("Make an Ed25519 key pair: FILE signs the record, FILE.pub verifies it.")
    .requiredOption("-o, --out <file>", "where the private key goes (mode 0600); never overwritten")
    .action((options: { out: string }) => {
      const { id } = makeKeyPair(options.out);
      console.log(`private key  ${options.out}      for gateway or run --sign-key; keep it root's alone`);
      console.log(`public key   ${options.out}.pub  for logs verify --key; keep a copy off this machine`);
      console.log(`key id       ${id}`);
    });
}
