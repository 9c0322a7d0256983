// Package fakegitlab is a stand-in for GitLab on loopback: the two endpoints by
// which a job's environment is proven, in the shapes and with the refusals of
// the real ones.
//
// It promises never to keep a job token in its journal, only whether the right
// one came. It exists for tests and the demo and is never linked into a stage
// binary.
package fakegitlab
