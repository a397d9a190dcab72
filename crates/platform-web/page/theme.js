// Puts the chosen theme on before anything is drawn; the module that follows would come too late.
try {
  const theme = localStorage.getItem("tertulia.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch { /* a browser without storage follows the system */ }
