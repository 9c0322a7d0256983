// Package shell is the base executor that runs a job's scripts with bash or sh
// on the runner's own host, as the runner's user or, under a root runner, as a
// user of its own.
//
// What it guarantees:
//
//   - A job's environment is built from nothing: fixed variables, the names in
//     pass_env and what the caller of Run adds. Nothing else of the runner's
//     environment and no open file of it gets through.
//   - With another user, the script reaches it without lying anywhere that a
//     third user could read, and cannot be changed once it runs.
//   - Run returns only after every process of the script's tree has ended, also
//     those that left its session or group; Guarantee says what that rests on
//     when the run stage itself is killed.
//   - No directory is made, and no owner changed, through a symbolic link that
//     the job's user could have put there.
//
// The scripts run as `bash script`, neither login nor interactive: no profile
// or rc file of the user has a say in what a job does. It is for Linux only.
package shell
