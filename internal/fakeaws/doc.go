// Package fakeaws is a stand-in for AWS on loopback: the parts of STS, IAM and
// S3 that a lent role touches, spoken as the genuine SDKs and the aws CLI speak
// them.
//
// It promises to be strict where a mistake would hide a defect: signatures are
// verified, parameters have AWS's limits, trust policies decide who may assume
// a role, and inline policies are evaluated on every request, so that a denied
// session is really refused while its neighbour works. What it does not know it
// refuses.
//
// It exists for tests and the demo and is never linked into a stage binary.
package fakeaws
