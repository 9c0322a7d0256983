package docker

// This file names what a job leaves in the Engine. Two hosts, or two state
// directories, that share an Engine do not touch each other's. The names are
// digests: a job can learn the name of its own container, and must not learn
// its lease id by that. The labels it cannot read.

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

const namePrefix = "envrole-"

// Labels of every container, network and volume that EnvRole makes.
const (
	LabelHost    = "envrole.host"    // Plan.Host: which EnvRole made it
	LabelJob     = "envrole.job"     // Plan.Mark; volumes that outlive jobs have none
	LabelLease   = "envrole.lease"   // Plan.LeaseID, for sweeps: a mark does not lead back to it
	LabelRole    = "envrole.role"    // one of the Role constants
	LabelJobID   = "envrole.job-id"  // GitLab's, for people
	LabelProject = "envrole.project" // GitLab's numeric id, for people
)

// Values of LabelRole.
const (
	RoleJob     = "job"
	RoleHelper  = "helper"
	RoleService = "service"
	RoleNetwork = "network"
	RoleBuilds  = "builds"
	RoleCache   = "cache"
)

// Mark names a job in the Engine: a digest of its lease id.
func Mark(leaseID string) string { return digest("envrole docker job", leaseID) }

// HostID names this EnvRole in the Engine: a digest of its state directory and
// of the machine, the same after a reboot.
func HostID(stateDir string) string {
	machine, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		machine = nil // the host name has to do
	}
	name, err := os.Hostname()
	if err != nil {
		name = ""
	}
	return digest("envrole docker host", stateDir, strings.TrimSpace(string(machine)), name)
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:10])
}

// ContainerName is the name of the job's container of a role; n tells services
// apart, from 0 on.
func (p Plan) ContainerName(role string, n int) string {
	if role == RoleService {
		return fmt.Sprintf("%s%s-%s-%d", namePrefix, p.Mark, role, n)
	}
	return namePrefix + p.Mark + "-" + role
}

// NetworkName is the name of the network that is made for the job.
func (p Plan) NetworkName() string { return namePrefix + p.Mark }

// Labels are the labels of what belongs to the job alone.
func (p Plan) Labels(role string) map[string]string {
	return map[string]string{
		LabelHost: p.Host, LabelJob: p.Mark, LabelLease: p.LeaseID, LabelRole: role,
		LabelJobID: fmt.Sprint(p.JobID), LabelProject: fmt.Sprint(p.ProjectID),
	}
}

// VolumeLabels are the labels of the volumes of the project.
func (p Plan) VolumeLabels(role string) map[string]string {
	return map[string]string{LabelHost: p.Host, LabelRole: role, LabelProject: fmt.Sprint(p.ProjectID)}
}

// volumeName is the same for every job of a project on refs of one kind. The
// engine puts behind it whose files these are and, for builds, a number.
func volumeName(kind, host string, projectID int64, refProtected bool) string {
	ref := "unprotected"
	if refProtected {
		ref = "protected"
	}
	return fmt.Sprintf("%s%s-%s-%d-%s", namePrefix, kind, host, projectID, ref)
}
