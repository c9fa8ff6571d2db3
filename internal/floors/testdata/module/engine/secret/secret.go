package secret

import (
	sh "os"
	"os/exec"
)

func use() { _, _ = sh.Open("x") } // WANT "os.Open"
