/**
 * What has to be known of the kernel's types (`btf.ts`), for each program of ours that reads its memory. Apart from the programs, so that whoever
 * looks these up for somebody else need not load what makes system calls.
 */
export const stepMembers = [
  "task_struct.real_parent",
  "task_struct.tgid",
  "task_struct.start_time",
  "linux_binprm.p",
  "linux_binprm.exec",
  "linux_binprm.argc",
] as const;

export const programMembers = [
  "linux_binprm.file",
  "linux_binprm.interp",
  "linux_binprm.p",
  "linux_binprm.exec",
  "linux_binprm.argc",
  "file.f_inode",
  "inode.i_ino",
  "inode.i_sb",
  "super_block.s_dev",
] as const;

/** Where a system call's number and its first two arguments are in the caller's registers. */
export const registers =
  process.arch === "x64"
    ? ({ number: "pt_regs.orig_ax", first: "pt_regs.di", second: "pt_regs.si" } as const)
    : ({ number: "pt_regs.syscallno", first: "pt_regs.orig_x0", second: "pt_regs.regs" } as const);

export const memoryMembers = [
  registers.number,
  registers.first,
  registers.second,
  "task_struct.files",
  "files_struct.fdt",
  "fdtable.fd",
  "file.f_op",
  "file.f_inode",
  "proc_inode.pid",
  "proc_inode.vfs_inode",
  "pid.numbers",
] as const;

export const allMembers: readonly string[] = [...new Set([...stepMembers, ...programMembers, ...memoryMembers])];
