package local

import "os"

func use() { _, _ = os.OpenRoot("x") }
