// Package docker is the base executor that runs each job in containers of its
// own, through the Engine API. This package is what every stage may link: the
// table of the configuration, and the plan of a job, made without asking the
// Engine anything. Package engine, below, carries a plan out.
package docker

import "time"

// Plan is all that is needed to run a job in containers. Every text in it that
// an author can choose (images, commands, variables of services) has been
// expanded and checked. No session is in it, and no login of a registry; but what
// an author gives to a service is, be it $CI_JOB_TOKEN: so it is kept sealed
// alone, and never shown.
type Plan struct {
	Engine       string `json:"engine"`           // address of the Engine, "unix:///var/run/docker.sock"
	TLSCA        string `json:"tls_ca,omitempty"` // paths of PEM files; all or none, for "tcp://host:port"
	TLSCert      string `json:"tls_cert,omitempty"`
	TLSKey       string `json:"tls_key,omitempty"`
	LeaseID      string `json:"lease_id"`      // names the job; containers carry Mark instead
	Mark         string `json:"mark"`          // digest of the lease id: in names and labels
	Host         string `json:"host"`          // digest of the state directory and this host: whose containers these are
	JobID        int64  `json:"job_id"`        //
	ProjectID    int64  `json:"project_id"`    //
	RefProtected bool   `json:"ref_protected"` //
	// PayloadFile is read once more, in Prepare, for the registry credentials
	// of the job: they are not kept.
	PayloadFile string `json:"payload_file"`
	AuthFile    string `json:"auth_file,omitempty"` // of the administrator, likewise

	Image    Container   `json:"image"`
	Helper   *Container  `json:"helper,omitempty"` // nil: the job's container runs every sub-stage
	Services []Container `json:"services,omitempty"`

	Shell     string `json:"shell"`      // "bash" or "sh", in the containers
	BuildsDir string `json:"builds_dir"` // absolute, in the containers
	CacheDir  string `json:"cache_dir"`  // likewise
	// BuildsVolume and CacheVolume name volumes of this project, and of its
	// protected or its unprotected refs. Prepare adds a number to the first,
	// which the job has for itself while it lives.
	BuildsVolume string   `json:"builds_volume"`
	CacheVolume  string   `json:"cache_volume"`
	Volumes      []string `json:"volumes,omitempty"` // of the configuration: "/host:/container[:ro]", "name:/container", "/container" (anonymous)

	Network    string   `json:"network,omitempty"` // an existing one, by the configuration; "" makes one for the job
	DNS        []string `json:"dns,omitempty"`
	ExtraHosts []string `json:"extra_hosts,omitempty"`
	Metadata   string   `json:"metadata"` // "block" or "allow"

	Memory      int64    `json:"memory,omitempty"`     // bytes; 0 is no limit
	NanoCPUs    int64    `json:"nano_cpus,omitempty"`  // 1e9 is one CPU; 0 is no limit
	PidsLimit   int64    `json:"pids_limit,omitempty"` // 0 is no limit
	ShmSize     int64    `json:"shm_size,omitempty"`   // bytes; 0 is the Engine's default
	CapAdd      []string `json:"cap_add,omitempty"`
	CapDrop     []string `json:"cap_drop,omitempty"`
	SecurityOpt []string `json:"security_opt,omitempty"`
	Privileged  bool     `json:"privileged,omitempty"`
	ReadOnly    bool     `json:"read_only,omitempty"`
	PassEnv     []string `json:"pass_env,omitempty"` // names from the runner's environment that scripts get

	Grace       time.Duration `json:"grace"`        // from SIGTERM to SIGKILL of a cancelled script
	ServiceWait time.Duration `json:"service_wait"` // how long a service may take to answer; 0 does not wait
	Timeout     time.Duration `json:"timeout"`      // of one Engine call that does no pulling
	PullTimeout time.Duration `json:"pull_timeout"` // of pulling one image
}

// Container is one image and how it is started.
type Container struct {
	Name       string            `json:"name"` // reference, expanded
	Entrypoint []string          `json:"entrypoint,omitempty"`
	Command    []string          `json:"command,omitempty"` // services only
	Aliases    []string          `json:"aliases,omitempty"` // services only: names on the job's network
	Env        map[string]string `json:"env,omitempty"`     // services only: the service's own variables
	User       string            `json:"user,omitempty"`
	Platform   string            `json:"platform,omitempty"`
	Pull       []string          `json:"pull,omitempty"` // policies to try in order: always, if-not-present, never
}
