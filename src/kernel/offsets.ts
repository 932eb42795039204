/** Where members lie in the kernel's structures, for programs that cannot do without. Called by the witnesses of this room. */
import { kernelTypes, type KnownOffsets, knownOffsets } from "./btf.ts";
import * as libc from "./libc.ts";

/**
 * Offsets in bytes of `structure.member`s of the kernel that runs; `known` are those that were looked up before. Throws KernelError where
 * the kernel does not tell one of them.
 */
export function kernelOffsets<Name extends string>(
  wanted: readonly Name[],
  known: KnownOffsets = knownOffsets(wanted),
): Readonly<Record<Name, number>> {
  const missing = wanted.filter((each) => !Object.hasOwn(known, each));
  if (missing.length > 0) throw new libc.KernelError("bpf types", libc.ENOENT, `${kernelTypes}: ${missing.join(", ")}`);
  return known;
}
