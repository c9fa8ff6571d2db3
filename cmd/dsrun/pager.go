package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
)

// pager shows a text with $PAGER, else less. An error means that nothing was shown.
func pager(ctx context.Context, text string) error {
	command := os.Getenv("PAGER")
	if command == "" {
		command = "less"
	}
	words := strings.Fields(command)
	if len(words) == 0 || words[0] == "cat" {
		return errors.New("no pager is wanted")
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(text), os.Stdout, os.Stderr
	if os.Getenv("LESS") == "" {
		cmd.Env = append(os.Environ(), "LESS=FRX") // colors, and no screen of its own, as git does
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	_ = cmd.Wait() // it was quit, or says itself what is wrong
	return nil
}
