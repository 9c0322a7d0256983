// Package driver is the base executor that wraps any other driver of GitLab
// Runner's custom executor: tart, LXD, libvirt, fargate, one of the site's own.
//
// What it guarantees:
//
//   - The wrapped driver sees what the runner would have given it: arguments,
//     environment, working directory, empty standard input. Only EnvRole's own
//     variables and the runner's AWS_* are left out.
//   - What it writes goes on in the order of writing, and its exit code is the
//     stage's, whatever it means.
//   - It stays in the runner's process group and so gets the runner's signals
//     itself. It is waited for until it ends, and dies with a killed stage.
//   - A session reaches it in the way of the key inject alone. A script with one
//     in it is a private copy that is gone when the driver has ended; neither a
//     command line nor the trace of a shell shows it.
//
// Where the wrapped driver runs a script, and what it isolates there, is its own
// business: nothing of that can be seen from here. It is for Linux only.
package driver
