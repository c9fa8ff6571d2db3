package state

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
)

func use() {
	_, _ = os.OpenRoot("x")
	_ = filepath.Join("a")
	fmt.Println()      // WANT "fmt.Println"
	signal.Notify(nil) // WANT "signal.Notify"
}
