//! Pure planning: validate, plan, render.
