package settings

import (
	"envrole/executor/docker"
	"envrole/executor/driver"
	"envrole/executor/shell"
	"envrole/roles/settings/schema"
)

// testBases are the tables of the bases. They import nothing of this package.
func testBases() []schema.Table {
	return []schema.Table{shell.Table(), driver.Base{}.Table(), docker.New(docker.Engine{}).Table()}
}
